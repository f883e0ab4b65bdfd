"""The first measurements on a GPU, made on the stand-in."""

import math
from collections.abc import Iterator
from pathlib import Path

import fake_gpu
import numpy as np
import pytest
from engine_checks import WIDE, refusal
from fake_tensorrt import CONTEXT_BYTES, FakeEngine
from tiny_reader import tiny_card, write_tiny_reader

from crnn_export.onnx_file import read_source
from crnn_runtime import CrnnError
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
from tools.gpu import first, models, threads
from tools.gpu.check import environment
from tools.gpu.models import list_candidates, make_first, measure, time_shapes
from tools.gpu.pieces import why_no_engine


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_gpu.FakeGpu]:
    yield fake_gpu.install(monkeypatch, WIDE)
    monkeypatch.undo()
    fake_gpu.uninstall()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An engine and its ONNX file; the traffic is less than on a GPU."""
    monkeypatch.setattr(first, "READS", 4)
    monkeypatch.setattr(first, "LINES", 60)
    source = write_tiny_reader(tmp_path / "x.onnx")
    engine = tmp_path / "x.trt"
    fake_gpu.write_fake_engine(engine, source.read_bytes(), tiny_card(), WIDE)
    return engine, source


def test_all_is_measured_and_told_step_by_step(
    gpu: fake_gpu.FakeGpu, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first, "SHAPES", ((1, 64), (8, 320)))
    monkeypatch.setattr(first, "read_in_threads", lambda *_: "all is well")
    told: list[first.First] = []
    found = first.measure_first(*files, told.append)
    assert [bool(each.threads) for each in told] == [False, False, False, True]
    assert [cost.device_bytes for cost in found.contexts] == [CONTEXT_BYTES] * 4
    assert all(cost.seconds > 0 for cost in found.contexts)
    assert [(each.batch, each.width) for each in found.shapes] == [(1, 64), (8, 320)]
    assert all(len(each.first) == 5 and each.later > 0 for each in found.shapes)
    assert [each.lines for each in found.traffic] == [60, 60]
    assert all(0 < each.contexts[0] <= 8 for each in found.traffic)
    assert (found.threads, found.problems) == ("all is well", ())
    assert gpu.cuda.is_empty


def test_no_measurement_is_begun_when_the_time_is_up(
    gpu: fake_gpu.FakeGpu, files: tuple[Path, Path], tmp_path: Path
) -> None:
    found = first.measure_first(*files, deadline=0)
    assert (found.contexts, found.shapes, found.traffic, found.threads) == ((), (), (), "")
    assert len(found.problems) == 4
    assert all("the time is up" in said for _, said in found.problems)
    assert gpu.engines == []
    assert "the time is up" in refusal(make_first, tmp_path, "auto", 0)
    assert not (tmp_path / "first.onnx").exists()


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), "fp16"), ((8, 6), "fp32")])
def test_the_first_engine_is_in_a_precision_that_the_gpu_has(
    gpu: fake_gpu.FakeGpu,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    precision: str,
) -> None:
    """TensorRT for RTX has no float32 on sm_75: such an engine is left out, with the reason."""
    gpu.cuda.capability = capability
    built: list[str] = []

    def build(source: Path, *_: object, **__: object) -> None:
        built.append(read_source(source).card.precision)
        raise CrnnError("built")

    monkeypatch.setattr("crnn_export.trt.build_engine", build)
    monkeypatch.setattr(models, "export_digits", write_tiny_reader)
    monkeypatch.setattr(models, "draw_samples", lambda _: ([], [], ""))
    assert refusal(make_first, tmp_path, "rtx") == "built"
    assert built == [precision]
    samples = [(np.full((32, 64, 3), 255, np.uint8), "")]
    candidates = list_candidates(tmp_path, "rtx", samples, math.inf)
    readings, _ = measure([candidates[0], *candidates[2:4]], samples)
    assert [reading.name for reading in readings[1:]] == ["engine fp32", "engine fp16"]
    assert [reading.possible for reading in readings[1:]] == [precision == "fp32", True]
    assert ("sm_75" in readings[1].note) == (precision == "fp16")
    assert built[1:] == ([] if precision == "fp16" else ["fp32"]) + ["fp16"]
    assert read_source(tmp_path / "first.onnx").card.precision == "fp32"


def test_every_shape_that_is_timed_is_replayed(
    gpu: fake_gpu.FakeGpu, files: tuple[Path, Path]
) -> None:
    """More shapes than one backend keeps graphs of."""
    engine, _ = files
    shapes = [(1, width) for width in range(32, 32 * 13, 32)]
    launched = 0
    for timing in time_shapes("engine", lambda: TensorRTBackend(engine), shapes, 0):
        assert gpu.cuda.counts["launch"] - launched >= timing.calls
        launched = gpu.cuda.counts["launch"]
    assert gpu.cuda.counts["capture"] == len(shapes) == 12
    assert gpu.cuda.is_empty


def test_a_measurement_that_fails_is_a_line_and_the_others_are_made(
    gpu: fake_gpu.FakeGpu, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("of\nours")

    monkeypatch.setattr(first, "shape_times", fail)
    monkeypatch.setattr(first, "read_in_threads", lambda *_: "all is well")
    found = first.measure_first(*files)
    assert found.problems == (("first calls", "ZeroDivisionError: of ours"),)
    assert found.contexts
    assert found.traffic
    assert found.threads


def test_threads_that_read_something_else_are_seen(
    gpu: fake_gpu.FakeGpu,
    files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [str(each) for each in files]
    assert threads.main(*names) == 0
    assert "100.00%" in capsys.readouterr().out
    right = FakeEngine.compute
    monkeypatch.setattr(
        FakeEngine,
        "compute",
        lambda self, images: {k: v * 0 for k, v in right(self, images).items()},
    )
    assert threads.main(*names) == 1


def test_a_process_that_fails_or_does_not_end_is_told(tmp_path: Path) -> None:
    said = first.read_in_threads(tmp_path / "gone.trt", tmp_path / "gone.onnx")
    assert said.startswith("FAILED")
    assert "\n" not in said
    assert first.read_in_threads(tmp_path, tmp_path, seconds=0.01).startswith("FAILED")


def test_a_gpu_is_named_and_what_is_there_is_not_missing(gpu: fake_gpu.FakeGpu) -> None:
    found = environment()
    assert "Fake GPU" in found["GPU"]
    assert "8.6" in found["GPU"]
    assert found["CUDA of the driver"] == "13.2"
    assert why_no_engine() == ""


def test_a_gpu_that_tensorrt_for_rtx_does_not_serve_is_told(
    gpu: fake_gpu.FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr("tools.gpu.pieces.capability", lambda _: 90)
    assert why_no_engine() == ""  # TensorRT serves it
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert "sm_90" in why_no_engine()
