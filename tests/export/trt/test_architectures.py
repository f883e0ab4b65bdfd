"""Every architecture in every precision is built with TensorRT for RTX, for real, without a GPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gpu_here import needs_engine

from crnn import BACKBONES, build_model
from crnn_export.precision.gate import convert_precision
from crnn_export.trt import build_engine
from crnn_export.trt.options import DEFAULT_BATCH, DEFAULT_WIDTH
from crnn_runtime.backends import open_backend
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
from crnn_runtime.decode.greedy import best_path
from crnn_runtime.model.engine_file import Profile, read_engine

pytest.importorskip("tensorrt_rtx")

PRECISIONS = ("fp32", "fp16", "int8")
FAST = "lite"
ARCHES = [
    pytest.param(
        arch, marks=[pytest.mark.xdist_group(arch), *([] if arch == FAST else [pytest.mark.slow])]
    )
    for arch in BACKBONES
]


def convert(source: Path, target: Path, precision: str) -> Path:
    if precision == "fp32":
        return source
    with open_backend(source) as backend:
        card = backend.card
    random = np.random.default_rng(0)
    shape = (card.height, card.width or 200, card.channels)
    lines = [random.integers(0, 256, shape, np.uint8) for _ in range(4)]
    # The networks are not trained: what they read means nothing, so any loss will do.
    convert_precision(source, target, precision, lines=lines, max_cer_loss=1e9)
    return target


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("arch", ARCHES)
def test_every_architecture_builds_in_every_precision(
    exported: Callable[[str], Path], tmp_path: Path, arch: str, precision: str
) -> None:
    source = convert(exported(arch), tmp_path / "x.onnx", precision)
    profiles = (Profile(DEFAULT_BATCH, DEFAULT_WIDTH),)
    build_engine(source, tmp_path / "x.trt", flavour="rtx", profiles=profiles)
    card, record = read_engine(tmp_path / "x.trt")
    assert card.arch == arch
    assert card.precision == record.precision == precision
    assert record.evidence == "build log"
    assert record.profiles == profiles
    assert (record.profiles[0].batch.min, record.profiles[0].batch.max) == (1, 64)
    assert (record.profiles[0].width.min, record.profiles[0].width.max) == (32, 2048)
    # Without an overhead for kernels: the weights are there, and in their type.
    bytes_of = {"fp32": 4, "fp16": 2, "int8": 1}
    parameters = sum(p.numel() for p in build_model(arch, card.num_classes).parameters())
    assert sum(record.weights.values()) > 0.9 * parameters
    assert record.size > parameters * bytes_of[precision] / 2


@needs_engine
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("arch", ARCHES)
def test_every_engine_agrees_with_its_onnx_file(
    exported: Callable[[str], Path], tmp_path: Path, arch: str, precision: str
) -> None:
    source = convert(exported(arch), tmp_path / "x.onnx", precision)
    build_engine(source, tmp_path / "x.trt")
    random = np.random.default_rng(0)
    with TensorRTBackend(tmp_path / "x.trt") as engine, open_backend(exported(arch)) as reference:
        card = engine.card
        widths = (32, 280, 511, 1024) if card.width is None else (card.width,)
        same = total = 0
        for width in widths:
            for batch in (1, 7, 64):
                shape = (batch, card.channels, card.height, width)
                images = random.standard_normal(shape, np.float32)
                ids, _ = best_path(engine.infer(images))
                expected, _ = best_path(reference.infer(images))
                assert ids.shape == expected.shape
                same += int((ids == expected).sum())
                total += ids.size
    # Of noise and an untrained network, where classes lie close together.
    assert same / total > {"fp32": 0.999, "fp16": 0.97, "int8": 0.6}[precision]
