"""The parts of the runtime's benchmark that need no trained or exported model."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader
from click.testing import CliRunner

from crnn_benchmarks.cases.runtime import network, steady
from crnn_benchmarks.cases.runtime.targets import main
from crnn_benchmarks.harness.inputs import draw_line, mixed_widths, peer_model, real_lines
from crnn_benchmarks.harness.targets import Figure, by_turns, ratio
from crnn_runtime.picture.load import load_image


def test_drawn_lines_have_the_width_asked_and_print_on_them() -> None:
    image = load_image(draw_line(420, 48), "gray")
    assert image.shape == (48, 420)
    assert image.min() < 90
    assert np.median(image) > 200
    assert draw_line(64) == draw_line(64)


def test_mixed_widths_reach_both_ends() -> None:
    widths = mixed_widths(2000)
    assert 32 <= min(widths) < 40
    assert 1900 < max(widths) <= 2000
    assert np.median(widths) == pytest.approx(np.sqrt(32 * 2000), rel=0.15)


def test_turns_are_counted_without_the_first() -> None:
    ticks = iter(range(100))
    calls: list[str] = []
    ways = [lambda: calls.append("a"), lambda: (calls.append("b"), next(ticks))]
    seconds = by_turns(ways, 3, lambda: float(next(ticks)))
    assert calls == ["a", "b"] * 4
    assert seconds.tolist() == [[1.0, 2.0]] * 3
    assert ratio(seconds)[0] == 0.5


@pytest.mark.parametrize(("holds", "word"), [(True, "pass"), (False, "FAIL"), (None, "missing")])
def test_a_figure_says_whether_it_holds(holds: bool | None, word: str) -> None:
    text = str(Figure(name="rate", value="3", target="at least 2", holds=holds))
    assert text.split() == [word, "rate:", "3", "(target", "at", "least", "2)"]


def test_batches_are_compared(tmp_path: Path) -> None:
    model = write_barcode_reader(tmp_path / "reader.onnx", barcode_card(head="greedy"))
    sources = []
    for number, text in enumerate(["012", "9", "4455", "", "77" * 20, "31"]):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), draw_barcode(text))
        sources.append(path)
    texts, confidences, count = steady.compare_batches(model, sources)
    assert (texts, count) == (0, 6)
    assert confidences < 1e-6
    assert real_lines(tmp_path) == sources
    assert real_lines(tmp_path / "none") == []


def test_memory_is_read_after_a_tenth_and_at_the_end(tmp_path: Path) -> None:
    model = write_barcode_reader(tmp_path / "reader.onnx", barcode_card(head="greedy"))
    first, last = steady.memory_after(2000, model)
    assert 10_000_000 < first < 4 * last


def test_a_peer_that_is_missing_is_said(tmp_path: Path) -> None:
    assert peer_model("PP-OCRv4", tmp_path) is None
    (figure,) = network.lite_against_ppocr(tmp_path)
    assert figure.holds is None
    assert "pip install" in figure.value
    result = CliRunner().invoke(main, ["--only", "lite-vs-ppocr", "--peers", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "missing lite / PP-OCRv4" in result.output
    result = CliRunner().invoke(main, ["--only", "speed"])
    assert result.exit_code == 2
    assert "lite-vs-ppocr" in result.output
