"""Pages on disk, as ``crnn-synth --pages`` writes them."""

import json
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from click.testing import CliRunner

from crnn.cli.synth import main
from crnn.synth.page.folder import PAGES

SERIF = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSerif.ttf"
PLAIN = ("--fonts", str(SERIF), "--alphabet", "latin")


def run(out: Path, *arguments: str) -> Any:  # noqa: ANN401
    return CliRunner().invoke(main, [*PLAIN, "--out", str(out), *arguments])


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in (out / PAGES).read_text().splitlines()]


def test_pages_and_what_stands_on_them(tmp_path: Path) -> None:
    done = run(tmp_path / "out", "--pages", "receipt,table", "--count", "3")
    assert done.exit_code == 0, done.output
    found = rows(tmp_path / "out")
    assert done.output.splitlines()[-1].startswith("3 pages with ")
    assert len(found) == 3
    assert {row["kind"] for row in found} <= {"receipt", "table"}
    for row in found:
        page = cv2.imread(str(tmp_path / "out" / row["path"]))
        assert row["lines"]
        for line in row["lines"]:
            corners = np.array(line["polygon"])
            assert corners.shape == (4, 2)
            assert (corners >= -20).all()
            assert (corners.max(0) <= np.array(page.shape[1::-1]) + 20).all()
            assert line["text"]


def test_a_stopped_run_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(whole, "--pages", "receipt", "--count", "3")
    run(stopped, "--pages", "receipt", "--count", "2")
    with (stopped / PAGES).open("a") as file:
        file.write('{"path": "0002.jpg", "li')  # killed in the middle of a row
    before = (stopped / "0001.jpg").stat().st_mtime_ns
    assert run(stopped, "--pages", "receipt", "--count", "3").exit_code == 0
    assert (stopped / "0001.jpg").stat().st_mtime_ns == before
    assert rows(stopped) == rows(whole)
    assert (stopped / "0002.jpg").read_bytes() == (whole / "0002.jpg").read_bytes()
    refused = run(stopped, "--pages", "receipt", "--count", "3", "--seed", "9")
    assert refused.exit_code == 2
    assert "another run" in refused.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--pages", "novel"), "novel"),
        (("--pages", "receipt", "--workers", "2"), "--workers"),
        (("--pages", "receipt", "--preset", "digits"), "--preset"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    done = run(tmp_path / "out", *arguments)
    assert done.exit_code == 2
    assert named in done.output
    assert not (tmp_path / "out").exists()
