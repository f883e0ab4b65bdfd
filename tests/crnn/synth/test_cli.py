from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from crnn.cli.synth import main
from crnn.synth import PRESETS

PACKAGES = ["--fonts", "packages"]


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    return result.exit_code, result.output


def test_lines_are_written_and_counted(tmp_path: Path) -> None:
    out = tmp_path / "D"
    arguments = ("--preset", "digits", *PACKAGES, "--count", 40, "--workers", 0, "--out", out)
    code, output = run(*arguments, "--coverage", tmp_path / "c.tsv")
    assert code == 0
    assert "40 lines in" in output
    assert len(list((out / "images").rglob("*.jpg"))) == 40
    before = (out / "train.txt").read_bytes()
    code, output = run(*arguments)
    assert code == 0
    assert (out / "train.txt").read_bytes() == before
    rows = (tmp_path / "c.tsv").read_text().splitlines()
    counts = {row.split("\t")[0]: int(row.split("\t")[2]) for row in rows[1:]}
    labels = (out / "train.txt").read_text() + (out / "dev.txt").read_text()
    assert sum(counts.values()) == sum(len(line.split(" ")) - 1 for line in labels.splitlines())


def test_a_sheet_of_each_preset(tmp_path: Path, han_font: Path) -> None:
    sheet = tmp_path / "sheet.png"
    code, output = run("--sheet", sheet, "--count", 3, *PACKAGES, "--fonts", han_font)
    assert code == 0
    assert all(name in output for name in PRESETS)
    page = cv2.imread(str(sheet))
    assert page.shape[1] == 1200
    assert page.shape[0] > 60 * len(PRESETS)


def test_lifted_characters_show_in_the_report(tmp_path: Path, han_font: Path) -> None:
    table, plot = tmp_path / "c.tsv", tmp_path / "c.png"
    code, output = run(
        "--preset", "chinese-strings", "--fonts", han_font, "--alphabet", "的一是囧镕璘",
        "--count", 30, "--min-count", 2, "--coverage", table, "--coverage", plot,
    )  # fmt: skip
    assert code == 0
    assert "of 6: 6 " in output
    assert all(int(row.split("\t")[2]) >= 2 for row in table.read_text().splitlines()[1:])
    assert cv2.imread(str(plot)).size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "digits"), "--out, --sheet"),
        (("--out", "D"), "--preset"),
        (("--preset", "papyrus", "--out", "D"), "'papyrus'"),
        (("--preset", "digits", "--coverage", "c.xls", "--fonts", "packages"), "c.xls"),
        (("--preset", "digits", "--out", "/proc/nowhere", "--fonts", "packages"), "/proc/nowhere"),
        (("--preset", "digits", "--sheet", "/proc/s.png", "--fonts", "packages"), "/proc/s.png"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert message in output
    assert "Traceback" not in output
