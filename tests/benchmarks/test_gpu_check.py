"""The GPU check: refuses without a GPU, and its report holds what was measured."""

import re
from pathlib import Path

import numpy as np
import pytest
from barcode import draw_barcode
from click.testing import CliRunner
from gpu_here import needs_gpu
from tiny_reader import write_tiny_reader

from crnn_benchmarks.gpu_check import (
    PRECISIONS,
    draw_lines,
    environment,
    is_good,
    main,
    make_models,
    measure,
    time_shapes,
)
from crnn_benchmarks.gpu_report import Reading, Report, Timing, to_markdown
from crnn_runtime.backends import open_backend
from crnn_runtime.backends.cuda_device import device_count


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
    models = {
        "reference": (path, "cpu", "here"),
        "other": (path, "cpu", ""),
        "failed": (path, None, "TensorRT is not installed"),
        "gone": (tmp_path / "gone.onnx", "cpu", ""),
    }
    readings, timings = measure(models, samples)
    assert readings[:3] == [
        Reading("reference", 3, 3, 2, "here"),
        Reading("other", 3, 3, 2),
        Reading("failed", note="TensorRT is not installed"),
    ]
    assert readings[3].lines == 0
    assert "no such file" in readings[3].note
    assert timings == []


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
            "3 passed",
            [Reading("engine fp32", 2000, 1999, 1500, "good"), Reading("engine int8", note="bad")],
            [Timing("engine fp32", 8, 320, 100, 0.0005, 0.002)],
        )
    )
    assert "a \\| b" in page
    assert "`pytest -m gpu`: 3 passed" in page
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
    assert to_markdown(Report({}, "none", [], [])).count("Nothing was measured.") == 3


def test_the_environment_names_versions_and_commit() -> None:
    found = environment()
    assert re.match(r"\d+\.\d+", found["torch"])
    assert re.match(r"\d{4}-\d{2}-\d{2}$", found["date"])
    assert found["commit"]
    assert ("GPU" in found) == (device_count() > 0)


def test_lines_are_fresh_digits() -> None:
    samples = draw_lines(3)
    assert all(text.isdigit() and image.ndim == 3 for image, text in samples)


@pytest.mark.slow
def test_engines_are_built_and_without_a_gpu_the_report_says_why_none_reads(
    tmp_path: Path,
) -> None:
    pytest.importorskip("tensorrt_rtx")
    samples = draw_lines(20)
    models = dict(make_models(tmp_path, "rtx", samples[10:]))
    engines = [f"engine {precision}" for precision in PRECISIONS]
    assert list(models) == ["ONNX fp32, CPU", "ONNX fp32, CUDA", *engines]
    for precision, engine in zip(PRECISIONS, engines, strict=True):
        assert f"{precision} by its build log" in models[engine][2]
    if device_count():
        pytest.skip("the rest is for machines without a GPU")
    readings, timings = measure(models, samples[:10])
    assert readings[0].equal == 10
    assert all(reading.lines == 0 for reading in readings[1:])
    assert all("no NVIDIA GPU" in reading.note for reading in readings[2:])
    assert timings == []
    assert not is_good(readings)


@needs_gpu
def test_the_environment_of_a_gpu_names_it() -> None:
    found = environment()
    assert re.search(r"compute capability \d+\.\d", found["GPU"])
    assert re.match(r"\d+\.\d$", found["CUDA of the driver"])
