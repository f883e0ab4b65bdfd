import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from tiny_detector import draw_page, write_bar_reader, write_detector

from crnn_runtime.cli.infer import main

TEXTS = {(40, 30): "3141", (40, 120): "592", (370, 122): "65"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_detector(folder / "det.onnx")
    write_bar_reader(folder / "reader.onnx")
    cv2.imwrite(str(folder / "page.png"), draw_page(TEXTS))
    return folder


def run(files: Path, *arguments: str) -> Result:
    command = [str(files / "reader.onnx"), "--page", "--detector", str(files / "det.onnx")]
    return CliRunner().invoke(main, [*command, *arguments], catch_exceptions=False)


def test_plain_text(files: Path) -> None:
    result = run(files, str(files / "page.png"))
    assert result.exit_code == 0
    assert [line for line in result.stdout.rstrip("\f\n").split("\n") if line] == [
        "3141", "592", "65",
    ]  # fmt: skip


def test_json(files: Path) -> None:
    result = run(files, "--json", str(files / "page.png"), str(files / "page.png"))
    pages = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(pages) == 2
    assert [line["text"] for line in pages[0]["lines"]] == ["3141", "592", "65"]
    line = pages[0]["lines"][1]
    assert line["polygon"][0] == pytest.approx([40, 120], abs=4)
    assert [each["char"] for each in line["chars"]] == ["5", "9", "2"]
    xs = [np.mean([x for x, _ in each["polygon"]]) for each in line["chars"]]
    assert xs == sorted(xs)
    assert pages[0]["width"] == 600


def test_hocr_and_alto_are_well_formed(files: Path, tmp_path: Path) -> None:
    nasty = tmp_path / 'a "b" <c> & d\n.png'
    shutil.copy(files / "page.png", nasty)
    result = run(files, "--as", "hocr", str(nasty))
    html = ET.fromstring(result.stdout.encode())
    classes = [each.get("class") for each in html.iter() if each.get("class")]
    assert classes.count("ocr_line") == 3
    assert classes.count("ocr_page") == 1
    words = [each for each in html.iter() if each.get("class") == "ocrx_word"]
    assert [word.text for word in words] == ["3141", "592", "65"]
    left, top = map(int, (words[0].get("title") or "").split()[1:3])
    assert (left, top) == pytest.approx((40, 30), abs=5)
    alto = ET.fromstring(run(files, "--as", "alto", str(nasty)).stdout.encode())
    strings = [each for each in alto.iter() if each.tag.endswith("}String")]
    assert [each.get("CONTENT") for each in strings] == ["3141", "592", "65"]


def test_a_folder_of_crops_and_labels(files: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two"), start=1):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "..page $(x);.png"), draw_page({(40, 30): str(number)}))
    out = tmp_path / "out"
    given = sorted(str(path) for path in tmp_path.glob("*/*.png"))
    result = run(files, "--as", "alto", "--out-dir", str(out), *given)
    assert result.exit_code == 0
    assert result.stdout == ""
    labels = [line.split("\t") for line in (out / "lines.tsv").read_text("utf-8").splitlines()]
    assert [text for _, text in labels] == ["1", "2"]
    for path, _ in labels:
        picture = cv2.imread(str(out / path))
        assert picture is not None
        assert picture.shape[0] == pytest.approx(32, abs=6)
    assert len(list(out.glob("*.xml"))) == 2
    assert not {"..", "$", ";", " "} & set("".join(path.name for path in out.iterdir()))


def test_pages_that_cannot_be_read_are_named_and_counted(
    files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    result = run(files, str(tmp_path / "broken.png"), str(files / "page.png"))
    assert result.exit_code == 1
    assert "broken.png" in capfd.readouterr().err
    assert "3141" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--side", "640"], ["--join"], ["--out-dir", "x"], ["--as", "hocr"], ["--least", "0"],
        ["--upright"], ["--detector", "d"],
    ],
)  # fmt: skip
def test_options_for_pages_need_pages(files: Path, arguments: list[str]) -> None:
    command = [str(files / "reader.onnx"), str(files / "page.png"), *arguments]
    assert CliRunner().invoke(main, command).exit_code == 2


@pytest.mark.parametrize("arguments", [["--raw"], ["--json", "--as", "alto"], ["--side", "1"]])
def test_contradictions(files: Path, arguments: list[str]) -> None:
    assert run(files, *arguments, str(files / "page.png")).exit_code == 2


def test_a_reader_as_detector_and_the_reverse(files: Path) -> None:
    page = str(files / "page.png")
    for model, detector in (("det", "det"), ("reader", "reader")):
        command = [str(files / f"{model}.onnx"), "--page", "--detector"]
        result = CliRunner().invoke(main, [*command, str(files / f"{detector}.onnx"), page])
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
