"""A text detector's engine finds what its ONNX file finds; on a stand-in for the GPU."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from refusals import refused
from tiny_detector import detector_card, draw_page, write_bar_reader, write_detector

from crnn_runtime import CrnnError, Detector, ModelError, Recognizer
from crnn_runtime.model.engine_file import Profile, Range, read_detector_engine, read_engine
from crnn_runtime.page.network import MAPS

if TYPE_CHECKING:
    from fake_gpu import FakeGpu

CANVAS = 672
SQUARE = (Profile(Range(1, 1, 1), Range(CANVAS, CANVAS, CANVAS)),)
TEXTS = {(40, 30): "3141", (40, 90): "592", (370, 92): "65"}


@pytest.fixture
def detector_engine(tmp_path: Path, gpu: "FakeGpu") -> Path:
    """As `crnn_export.trt.detector` makes it."""
    from fake_gpu import write_fake_engine

    gpu.profiles = SQUARE
    model = onnx.load(write_detector(tmp_path / "det.onnx", size=CANVAS))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    names = {"x": "images", "maps": MAPS}
    for node in model.graph.node:
        node.input[:] = [names.get(each, each) for each in node.input]
    model.graph.input[0].name = "images"
    data = model.SerializeToString()
    return write_fake_engine(tmp_path / "det.trt", data, detector_card(), SQUARE)


def test_the_engine_finds_what_the_graph_finds(detector_engine: Path, gpu: "FakeGpu") -> None:
    page = draw_page(TEXTS)
    with Detector(detector_engine.with_suffix(".onnx"), threads=1) as graph:
        wanted = graph.detect(page)
    with Detector(detector_engine) as detector:
        assert detector.card == detector_card()
        found = detector.detect(page)
        again = detector.detect(page)
    assert len(found) == len(wanted) == 3
    for one, other, third in zip(found, wanted, again, strict=True):
        np.testing.assert_allclose(one.polygon, other.polygon, atol=1e-3)
        np.testing.assert_allclose(one.polygon, third.polygon, atol=1e-3)
    assert not gpu.engines, "the engine is released"
    with pytest.raises(ModelError, match="closed"):
        detector.detect(page)


def test_what_is_dropped_releases_all(detector_engine: Path, gpu: "FakeGpu") -> None:
    Detector(detector_engine).detect(draw_page(TEXTS))
    gc.collect()
    assert gpu.cuda.is_empty


def test_pages_are_read_through_it(detector_engine: Path, tmp_path: Path) -> None:
    with Recognizer(write_bar_reader(tmp_path / "bars.onnx"), device="cpu", threads=1) as reader:
        page = reader.read_page(draw_page(TEXTS), detector=Detector(detector_engine))
    assert [line.text for line in page.lines] == ["3141", "592", "65"]


def test_engines_are_told_apart(detector_engine: Path, engine: Path) -> None:
    card, record = read_detector_engine(detector_engine)
    assert (card, record.profiles) == (detector_card(), SQUARE)
    with pytest.raises(ModelError, match="text detector"):
        read_engine(detector_engine)
    with refused(engine, kind=ModelError):
        Detector(engine)
    with pytest.raises(ModelError, match="text detector"):
        Recognizer(detector_engine)


def test_without_a_gpu_it_is_one_line(detector_engine: Path, gpu: "FakeGpu") -> None:
    gpu.cuda.devices = 0
    with pytest.raises(CrnnError) as refused:
        Detector(detector_engine)
    assert "\n" not in str(refused.value)
