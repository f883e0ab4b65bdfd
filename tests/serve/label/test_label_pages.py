"""Photographs become lines once, whole or not at all."""

from collections.abc import Generator, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_detector import draw_page, write_bar_reader, write_detector

from crnn_runtime import CrnnError, Line, Recognizer
from crnn_runtime.page.page import Page, PageLine
from crnn_serve.label import pages
from crnn_serve.label.cli import cut
from crnn_serve.label.folder import find_pictures
from crnn_serve.label.journal import Journal
from crnn_serve.label.pages import cut_pages

_CORNERS = np.zeros((4, 2), np.float32)


def _line(level: int) -> PageLine:
    crop = np.full((32, 80, 3), (level, 0, 0), np.uint8)
    return PageLine(Line("", 0.0, "", ()), _CORNERS, 1.0, crop=crop)


class _Reader:
    """Two lines on every page, none on ``blank``; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, photographs: Iterable[Path], /) -> Generator[Page, None, None]:
        for path in photographs:
            self.asked.append(path.name)
            if path.name.startswith("bad"):
                yield Page.unread("it is damaged")
            else:
                levels = () if path.name.startswith("blank") else (10, 200)
                yield Page(80, 64, tuple(map(_line, levels)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "a.png", "blank.jpg", "bad.jpg", "sub/b.jpg", ".hidden/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_each_page_is_cut_once_and_its_lines_belong_together(folder: Path) -> None:
    said: list[str] = []
    reader = _Reader()
    lines = cut_pages(folder, reader, said.append)
    assert sorted(reader.asked) == ["a.jpg", "a.png", "b.jpg", "bad.jpg", "blank.jpg"]
    assert any("bad.jpg" in each for each in said)
    entries = find_pictures(lines).entries
    assert sorted(entries) == [
        f"{page}/00{n}.png" for page in ("a.jpg", "a.png", "sub/b.jpg") for n in (1, 2)
    ]
    assert len({entry.page for entry in entries.values()}) == 3
    picture = cv2.imread(str(lines / "a.jpg" / "002.png"))
    assert picture is not None
    assert picture[0, 0].tolist() == [0, 0, 200]
    again = _Reader()
    cut_pages(folder, again, said.append)
    assert again.asked == ["bad.jpg"]


def test_a_page_that_was_cut_half_is_cut_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    (folder / "lines").mkdir()
    Journal(folder / "lines").close()
    with monkeypatch.context() as disk:
        disk.setattr(pages.os, "fsync", full)
        with pytest.raises(CrnnError):
            cut_pages(folder, _Reader(), print)
    assert not [path for path in (folder / "lines").iterdir() if path.is_dir()]
    left = folder / "lines" / ".a.jpg.part"  # as a killed process leaves it
    left.mkdir(parents=True)
    (left / "001.png").touch()
    cut_pages(folder, _Reader(), print)
    assert not left.exists()
    assert len(find_pictures(folder / "lines").entries) == 6


def test_two_processes_do_not_cut_one_folder(folder: Path) -> None:
    (folder / "lines").mkdir()
    journal = Journal(folder / "lines")
    with pytest.raises(CrnnError):
        cut_pages(folder, _Reader(), print)
    journal.close()


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CrnnError):
        cut_pages(tmp_path, _Reader(), print)
    assert not list(tmp_path.iterdir())


def test_lines_that_a_detector_finds_are_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    page = draw_page({(40, 60): "123", (40, 200): "4567"})
    cv2.imwrite(str(folder / "page.png"), page)
    detector = write_detector(tmp_path / "detector.onnx")
    with Recognizer(write_bar_reader(tmp_path / "bars.onnx"), threads=1) as recognizer:
        lines = cut(folder, recognizer, str(detector))
        found = recognizer.read(sorted(lines.rglob("0*.png")))
    assert [line.text for line in found] == ["123", "4567"]
