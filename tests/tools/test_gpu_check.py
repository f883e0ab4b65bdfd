"""The GPU check: refuses without a GPU, and its report holds what was measured."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from barcode import draw_barcode
from click.testing import CliRunner
from gpu_here import needs_gpu
from tiny_reader import write_tiny_reader

from crnn_runtime import CrnnError
from crnn_runtime.backends import open_backend
from crnn_runtime.backends.cuda_device import device_count
from tools import gpu_check
from tools.gpu_check import environment, is_good, main, run_tests
from tools.gpu_models import (
    PRECISIONS,
    Candidate,
    draw_samples,
    measure,
    time_shapes,
)
from tools.gpu_report import Reading, Report, Timing, to_markdown


@pytest.mark.skipif(device_count() > 0, reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--out", str(tmp_path / "report.md")])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "Error: no NVIDIA GPU can be used here: nothing was checked, nothing written"
    ]
    assert not list(tmp_path.iterdir())


def test_models_are_compared_with_the_first_one_and_with_the_labels(tmp_path: Path) -> None:
    path = write_tiny_reader(tmp_path / "x.onnx")
    samples = [
        (np.repeat(draw_barcode(text)[:, :, None], 3, axis=2), label)
        for text, label in [("0123", "0123"), ("42", "42"), ("7", "8")]
    ]

    def refuse() -> tuple[Path, str]:
        raise CrnnError("TensorRT is not installed")

    def crash() -> tuple[Path, str]:
        raise ZeroDivisionError("of\nours")

    candidates = [
        Candidate("reference", "cpu", lambda: (path, "here")),
        Candidate("other", "cpu", lambda: (path, "")),
        Candidate("failed", "cuda", refuse),
        Candidate("broken", "cuda", crash),
        Candidate("gone", "cpu", lambda: (tmp_path / "gone.onnx", "")),
    ]
    told: list[int] = []
    readings, timings = measure(candidates, samples, tell=lambda found, _: told.append(len(found)))
    assert readings[:4] == [
        Reading("reference", 3, 3, 2, "here"),
        Reading("other", 3, 3, 2),
        Reading("failed", note="TensorRT is not installed"),
        Reading("broken", note="ZeroDivisionError: of ours"),
    ]
    assert readings[4].lines == 0
    assert "no such file" in readings[4].note
    assert timings == []
    assert told == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]  # each is announced before it may crash


def test_what_is_not_begun_in_time_is_left_out(tmp_path: Path) -> None:
    path = write_tiny_reader(tmp_path / "x.onnx")
    samples = [(np.zeros((32, 64, 3), np.uint8), "")]
    readings, _ = measure([Candidate("late", "cpu", lambda: (path, ""))], samples, deadline=0)
    assert readings == [Reading("late", note="left out: the time is up")]
    assert run_tests("gpu", 0) == (None, "left out: the time is up")
    with open_backend(path) as backend:
        assert list(time_shapes("late", backend, [(1, 32)], 0.01, 0)) == []


def test_a_shape_is_timed_until_there_is_enough(tmp_path: Path) -> None:
    with open_backend(write_tiny_reader(tmp_path / "x.onnx")) as backend:
        timings = list(time_shapes("tiny", backend, [(1, 32), (4, 128)], 0.01))
    assert [(timing.batch, timing.width) for timing in timings] == [(1, 32), (4, 128)]
    for timing in timings:
        assert timing.calls >= 10
        assert 0 < timing.p50 <= timing.p95


def test_the_page_holds_every_figure() -> None:
    page = to_markdown(
        Report(
            {"GPU": "a | b"},
            {"gpu and not slow": "3 passed"},
            "Some lines",
            [Reading("engine fp32", 2000, 1999, 1500, "good"), Reading("engine int8", note="bad")],
            [Timing("engine fp32", 8, 320, 100, 0.0005, 0.002)],
        )
    )
    assert "a \\| b" in page
    assert "| `gpu and not slow` | 3 passed |" in page
    assert "Some lines; *equal*" in page
    assert "| engine fp32 | 2000 | 99.95% | 75.00% | good |" in page
    assert "| engine int8 | 0 | not measured | not measured | bad |" in page
    assert "| engine fp32 | 8 | 320 | 100 | 0.500 | 2.000 | 16,000 |" in page


@pytest.mark.parametrize(
    ("exact", "reduced", "good"), [(1998, 1, True), (1997, 2000, False), (2000, 0, False)]
)
def test_engines_must_read_and_float32_exactly(exact: int, reduced: int, good: bool) -> None:
    readings = [
        Reading("ONNX fp32, CUDA", note="the provider is missing"),
        Reading("engine fp32", 2000, exact),
        Reading("engine int8", 2000 if reduced else 0, reduced),
    ]
    assert is_good(readings) == good


def test_a_page_without_measurements_says_so() -> None:
    assert to_markdown(Report({})).count("Nothing was measured.") == 4


def test_the_environment_names_versions_and_commit() -> None:
    found = environment()
    assert re.match(r"\d+\.\d+", found["torch"])
    assert re.match(r"\d{4}-\d{2}-\d{2}$", found["date"])
    assert found["commit"]
    assert ("GPU" in found) == (device_count() > 0)


def test_lines_are_fresh_digits() -> None:
    samples, calibration, words = draw_samples(3)
    assert len(samples) == 3
    assert len(calibration) == 200
    assert all(text.isdigit() and image.ndim == 3 for image, text in samples)
    assert "not trained on" in words


def test_without_what_draws_lines_the_shipped_ones_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "crnn.synth", None)
    samples, calibration, words = draw_samples(3)
    assert samples == calibration
    assert all(text.isdigit() and image.ndim == 3 for image, text in samples)
    assert "because none can be drawn" in words


@pytest.mark.slow
def test_a_gpu_that_fails_everything_leaves_a_whole_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if device_count():
        pytest.skip("this machine has a GPU")
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setattr(gpu_check, "device_count", lambda: 1)
    out = tmp_path / "report.md"
    monkeypatch.setattr(gpu_check, "run_tests", lambda *_: (True, "1 passed"))
    result = CliRunner().invoke(main, ["--lines", "10", "--flavour", "rtx", "--out", str(out)])
    assert result.exit_code == 1
    page = out.read_text("utf-8")
    assert "| ONNX fp32, CPU | 10 | 100.00% |" in page
    for precision in PRECISIONS:
        row = next(row for row in page.splitlines() if row.startswith(f"| engine {precision} "))
        assert f"{precision} by its build log" in row
        assert "no NVIDIA GPU" in row


@needs_gpu
def test_the_environment_of_a_gpu_names_it() -> None:
    found = environment()
    assert re.search(r"compute capability \d+\.\d", found["GPU"])
    assert re.match(r"\d+\.\d$", found["CUDA of the driver"])
