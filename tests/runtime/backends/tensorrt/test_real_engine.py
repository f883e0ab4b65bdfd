"""A real engine on a real GPU."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from barcode import draw_barcode
from engine_checks import ONE, expect, noise
from gpu_here import needs_engine
from tiny_reader import tiny_card, write_tiny_reader

from crnn_runtime.backends import open_backend
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
from crnn_runtime.model.engine_file import Profile, Range
from crnn_runtime.picture.preprocess import to_input


@needs_engine
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_real_engine_reads_what_the_onnx_file_reads(tmp_path: Path, precision: str) -> None:
    from crnn_export.precision.gate import convert_precision
    from crnn_export.trt import build_engine

    source = write_tiny_reader(tmp_path / "fp32.onnx")
    texts = ["0123456789", "42", "7", "31415926535"]
    lines = [draw_barcode(text)[:, :, None] for text in texts]
    if precision != "fp32":
        convert_precision(source, tmp_path / "x.onnx", precision, lines=lines)
        source = tmp_path / "x.onnx"
    profiles = (ONE, Profile(Range(1, 4, 64), Range(32, 320, 2048)))
    build_engine(source, tmp_path / "x.trt", profiles=profiles)
    tolerance = 1e-3 if precision == "fp32" else 0.1
    with TensorRTBackend(tmp_path / "x.trt") as backend, open_backend(source) as reference:
        for _ in range(6):
            for line in lines:
                images = to_input([line], tiny_card())
                outputs, expected = backend.infer(images), reference.infer(images)
                steps = expected["ids"].shape[1]
                np.testing.assert_array_equal(outputs["ids"][:, :steps], expected["ids"])
                np.testing.assert_allclose(
                    outputs["probs"][:, :steps], expected["probs"], atol=tolerance
                )


@needs_engine
def test_a_real_engine_serves_all_shapes_from_several_threads(
    tmp_path: Path, onnx_file: Path
) -> None:
    from crnn_export.trt import build_engine

    build_engine(onnx_file, tmp_path / "x.trt")
    shapes = [(1, 32), (64, 2048), (70, 64), (1, 2048), (13, 511), (8, 320), (64, 32)] * 3
    batches = [noise(*shape, seed) for seed, shape in enumerate(shapes)]
    with TensorRTBackend(tmp_path / "x.trt") as backend, ThreadPoolExecutor(4) as pool:
        for images, outputs in zip(batches, pool.map(backend.infer, batches), strict=True):
            expected = expect(onnx_file, images)
            assert outputs["ids"].shape == expected["ids"].shape
            np.testing.assert_allclose(outputs["probs"], expected["probs"], atol=1e-2)


@needs_engine
def test_a_real_engine_takes_memory_by_the_call(tmp_path: Path, onnx_file: Path) -> None:
    from crnn_export.trt import build_engine
    from crnn_runtime.backends.cuda_device import call

    tolerance = 8 * 2**20  # other processes, and what CUDA keeps for itself
    info = build_engine(onnx_file, tmp_path / "x.trt")
    with TensorRTBackend(tmp_path / "x.trt") as backend:
        for _ in range(5):  # kernels are compiled, a graph is captured
            backend.infer(noise(1, 64))
        free = call("cudaMemGetInfo")[0]
        for _ in range(50):
            backend.infer(noise(1, 64))
        assert call("cudaMemGetInfo")[0] == pytest.approx(free, abs=tolerance)
        backend.infer(noise(64, 2048))
        taken = free - call("cudaMemGetInfo")[0]
        assert taken > info.record.activation_bytes / 2 - tolerance


@needs_engine
def test_a_real_detectors_engine_finds_what_the_onnx_file_finds(tmp_path: Path) -> None:
    from tiny_detector import draw_page, write_detector

    from crnn_export.trt.detector import build_detector
    from crnn_runtime import Detector

    source = write_detector(tmp_path / "det.onnx")
    info = build_detector(source, tmp_path / "det.trt", side=640)
    assert info.record.verified["equal"] >= 0.999
    page = draw_page({(40, 30): "3141", (40, 90): "592", (370, 92): "65"})
    with Detector(source, "cpu") as graph, Detector(tmp_path / "det.trt") as engine:
        wanted = graph.detect(page)
        for _ in range(5):
            assert len(engine.detect(page)) == len(wanted) == 3


@needs_engine
def test_no_line_is_lost_between_an_engine_and_its_recognizer(
    tmp_path: Path, onnx_file: Path
) -> None:
    from crnn_export.trt import build_engine
    from crnn_runtime import Recognizer

    build_engine(onnx_file, tmp_path / "x.trt")
    random = np.random.default_rng(0)
    texts = ["".join(map(str, random.integers(0, 10, 1 + n % 20))) for n in range(200)]
    with Recognizer(tmp_path / "x.trt", device="cuda") as reader:
        lines = reader.read([draw_barcode(text) for text in texts])
    assert [line.text for line in lines] == texts
