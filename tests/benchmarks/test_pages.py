import numpy as np
import pytest

from crnn.synth.page import PageSample, PageText
from crnn_benchmarks.cases.pages import overlap, score


def box(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float32)


def test_lines_found_and_read() -> None:
    truth = [
        PageText("one", box(0, 0, 100, 10), 0),
        PageText("two", box(0, 20, 100, 10), 0),
        PageText("three", box(0, 40, 100, 10), 0),
        PageText("four", box(0, 60, 100, 10), 0),
    ]
    page = PageSample(np.zeros((80, 100, 3), np.uint8), truth, "letter", "clean")
    found = [
        (box(2, 0, 98, 10), "one"),
        (box(0, 21, 100, 10), "Ｔ wo"),
        (box(0, 46, 100, 10), "three"),  # of another line
        (box(0, 200, 100, 10), "noise"),
        (box(0, 60, 100, 10), "for"),
    ]
    scores = score([page], [found])
    assert scores["precision"] == pytest.approx(3 / 5)
    assert scores["recall"] == pytest.approx(3 / 4)
    assert scores["exact"] == pytest.approx(1 / 3)
    assert scores["normalised"] == pytest.approx(2 / 3)


def test_overlap() -> None:
    assert overlap(box(0, 0, 10, 10), box(0, 0, 10, 10)) == pytest.approx(1)
    assert overlap(box(0, 0, 10, 10), box(5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap(box(0, 0, 10, 10), box(50, 0, 10, 10)) == 0
