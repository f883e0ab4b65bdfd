"""The number of execution contexts and graphs that an engine's traffic costs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import fake_gpu
import pytest
from engine_checks import PROFILES, WIDE, check, noise
from tiny_reader import tiny_card, tiny_model

from crnn_runtime import Recognizer
from crnn_runtime.backends.tensorrt import memory
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
from tools.gpu.first import LINES, READS, requests

MOST = 8
"""Contexts of a profile in a lane."""


@pytest.mark.parametrize(("flavour", "most"), [("tensorrt", MOST), ("rtx", 1)])
def test_mixed_traffic_makes_few_contexts(
    gpu: fake_gpu.FakeGpu,
    tmp_path: Path,
    flavour: Literal["tensorrt", "rtx"],
    most: int,
) -> None:
    gpu.profiles = WIDE
    data = tiny_model().SerializeToString()
    path = tmp_path / "x.trt"
    fake_gpu.write_fake_engine(path, data, tiny_card(), WIDE, flavour=flavour)
    with Recognizer(path) as recognizer:
        engine = gpu.engines[0]
        sizes = []
        for images in requests():
            sizes.append(len(recognizer.read(images)))
            assert engine.alive <= most
        assert (len(sizes), sum(sizes)) == (READS, LINES) == (40, 1397)
        assert engine.made <= most  # of one profile; the lines come one call at a time
        assert len(gpu.cuda.graphs) <= MOST - 1
        batches = {shape[0] for shape in engine.shapes}
        assert batches <= {1, 2, 4, 8, 16, 32, 64}
        del engine
    assert gpu.cuda.is_empty


def test_every_lane_makes_few_contexts_for_each_profile(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    shapes = [(batch, width) for batch in (1, 2, 4, 8) for width in range(64, 257, 16)]
    batches = [noise(*shape, seed) for seed in range(6) for shape in shapes]
    with TensorRTBackend(engine) as backend, ThreadPoolExecutor(4) as threads:
        for images, outputs in zip(batches, threads.map(backend.infer, batches), strict=True):
            check(outputs, onnx_file, images)
        lanes = backend.contexts
    assert len(PROFILES) < max(lanes) <= MOST * len(PROFILES)
    assert gpu.cuda.is_empty


def test_a_shape_that_comes_often_is_captured_and_replayed(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    with TensorRTBackend(engine) as backend:
        for seed in range(10):
            images = noise(4, 128, seed)
            check(backend.infer(images), onnx_file, images)
        assert gpu.cuda.counts["capture"] == 1
        assert gpu.cuda.counts["launch"] >= 5
        assert gpu.engines[0].made == 2  # the one that all shapes share, and its own


def test_shapes_that_come_seldom_share_a_context(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    with TensorRTBackend(engine) as backend:
        for width in range(64, 257, 32):
            for _ in range(2):
                check(backend.infer(noise(4, width)), onnx_file, noise(4, width))
        assert gpu.engines[0].made == 1
        assert gpu.cuda.counts["capture"] == 0


def test_what_becomes_frequent_takes_the_graph_of_what_was(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, onnx_file: Path
) -> None:
    gpu.profiles = WIDE
    path = tmp_path / "x.trt"
    fake_gpu.write_fake_engine(path, onnx_file.read_bytes(), tiny_card(), WIDE)
    with TensorRTBackend(path) as backend:
        for width in range(32, 512, 32):
            for _ in range(6):
                backend.infer(noise(1, width))
        assert len(gpu.cuda.graphs) == MOST - 1
        launched = gpu.cuda.counts["launch"]
        for seed in range(20):
            check(backend.infer(noise(2, 96, seed)), onnx_file, noise(2, 96, seed))
        assert gpu.cuda.counts["launch"] > launched
        assert gpu.engines[0].made == gpu.engines[0].alive == MOST
        assert len(gpu.cuda.graphs) == MOST - 1


def test_tensorrt_for_rtx_captures_by_itself(gpu: fake_gpu.FakeGpu, rtx_engine: Path) -> None:
    with TensorRTBackend(rtx_engine) as backend:
        for width in (128, 160, 128, 160, 128, 160, 128, 160):
            backend.infer(noise(4, width))
        assert gpu.cuda.counts == {"capture": 0, "launch": 0, "begin": 0}
        assert gpu.engines[0].made == 1


def test_memory_that_moves_costs_graphs_but_no_contexts(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    widths = [64] * 6 + [96] * 6 + [256] * 6 + [64] * 6 + [96, 256]
    with TensorRTBackend(engine) as backend:
        for seed, width in enumerate(widths):
            images = noise(4, width, seed)
            check(backend.infer(images), onnx_file, images)
        assert gpu.cuda.counts["launch"] == 15
        assert gpu.engines[0].made == 4
        assert backend._pool._loaded.capturable


@pytest.mark.parametrize("is_small", [True, False])
def test_inputs_and_outputs_never_move_within_a_profile_if_they_are_small(
    gpu: fake_gpu.FakeGpu, engine: Path, monkeypatch: pytest.MonkeyPatch, is_small: bool
) -> None:
    if not is_small:
        monkeypatch.setattr(memory, "ALL_AT_ONCE", 0)

    def pinned() -> set[int]:
        return {address for address, kind in gpu.cuda.kinds.items() if kind == "host"}

    with TensorRTBackend(engine) as backend:
        backend.infer(noise(2, 64))
        before = pinned()
        backend.infer(noise(8, 256))
        assert (pinned() == before) == is_small


@pytest.mark.parametrize("how", ["is refused", "is invalidated", "ends invalid"])
def test_an_engine_that_cannot_be_captured_runs_plainly_and_is_asked_once(
    gpu: fake_gpu.FakeGpu,
    engine: Path,
    onnx_file: Path,
    how: Literal["is refused", "is invalidated", "ends invalid"],
) -> None:
    with TensorRTBackend(engine) as backend:
        gpu.engines[0].capture = how
        for width in (64, 96, 128):
            for seed in range(8):
                images = noise(4, width, seed)
                check(backend.infer(images), onnx_file, images)
        assert gpu.cuda.counts == {"capture": 0, "launch": 0, "begin": 1}
        assert gpu.cuda.graphs == {}
        assert gpu.engines[0].alive == 1
    assert gpu.cuda.is_empty


@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
def test_contexts_annotate_nothing_for_a_profiler(
    gpu: fake_gpu.FakeGpu, engine: Path, rtx_engine: Path, flavour: str
) -> None:
    with TensorRTBackend(engine if flavour == "tensorrt" else rtx_engine) as backend:
        for _ in range(5):
            backend.infer(noise(4, 64))
        contexts = [context() for context in gpu.engines[0].contexts]
        assert {context.nvtx_verbosity for context in contexts if context} == {"NONE"}
