"""ONNX Runtime on a GPU: its options and bindings everywhere, the rest where there is one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from gpu_here import needs_gpu
from numpy.typing import NDArray
from tiny_reader import write_tiny_reader

from crnn_runtime import CrnnError, MissingDependencyError, ModelError, Recognizer
from crnn_runtime.backends import OUTPUT_NAMES, onnx_cuda, open_backend
from crnn_runtime.backends.cuda_device import device_index
from crnn_runtime.backends.onnx_runtime import OnnxRuntimeBackend

HAS_CUDA = onnx_cuda.PROVIDER in ort.get_available_providers()
needs_provider = pytest.mark.skipif(not HAS_CUDA, reason="this ONNX Runtime is the CPU's")


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_reader(tmp_path_factory.mktemp("onnx") / "x.onnx")


def noise(batch: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((batch, 1, 32, width), np.float32)


def test_the_search_is_heuristic_and_the_arena_bounded() -> None:
    assert onnx_cuda.cuda_options() == {
        "device_id": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    }
    limited = onnx_cuda.cuda_options(1, memory_limit=2**31)
    assert limited["device_id"] == "1"
    assert limited["gpu_mem_limit"] == "2147483648"


@pytest.mark.parametrize("limit", [0, -1])
def test_a_memory_limit_must_be_positive(limit: int) -> None:
    with pytest.raises(CrnnError, match=f"limit {limit} "):
        onnx_cuda.cuda_options(memory_limit=limit)


def test_a_memory_limit_without_an_arena_on_a_gpu_is_refused(
    onnx_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(CrnnError, match=r"gpu_memory_limit 99"):
        Recognizer(onnx_file, gpu_memory_limit=99)
    (tmp_path / "x.trt").write_bytes(b"ftrt" + bytes(60))
    with pytest.raises(CrnnError, match=r"x\.trt: gpu_memory_limit"):
        Recognizer(tmp_path / "x.trt", gpu_memory_limit=99)


@pytest.mark.parametrize(
    ("device", "index"),
    [("cuda", 0), ("cuda:0", 0), ("cuda:12", 12), ("cpu", None), ("cuda:", None), ("cuda:x", None),
     ("cuda:-1", None), ("CUDA", None), ("cuda:²", None), ("", None)],
)  # fmt: skip
def test_a_gpu_is_named_by_its_index(device: str, index: int | None) -> None:
    assert device_index(device) == index


@pytest.mark.parametrize("device", ["cuda:", "cuda:x", "gpu", "cpu:0", ""])
def test_another_device_is_refused(onnx_file: Path, device: str) -> None:
    with pytest.raises(ModelError, match=r"cpu, cuda, cuda:1"):
        OnnxRuntimeBackend(onnx_file, device=device)


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime supports CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_missing_provider_is_an_error_not_the_cpu(onnx_file: Path, device: str) -> None:
    with pytest.raises(MissingDependencyError, match=rf"device {device} .*\[gpu\]"):
        OnnxRuntimeBackend(onnx_file, device=device)


@pytest.mark.parametrize("shape", [(1, 32), (3, 100), (8, 512)])
def test_a_bound_run_gives_what_a_plain_run_gives(onnx_file: Path, shape: tuple[int, int]) -> None:
    session = ort.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    names = OUTPUT_NAMES["greedy"]
    images = noise(*shape)[:, :, :, ::-1]  # not contiguous, as a crop is not
    expected = session.run(list(names), {"images": images})
    for found, right in zip(onnx_cuda.run_bound(session, names, images), expected, strict=True):
        np.testing.assert_array_equal(found, right)
        assert found.dtype == right.dtype


def test_a_bound_run_that_fails_is_one_line_with_the_shape(onnx_file: Path) -> None:
    session = ort.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    too_low = np.zeros((1, 1, 2, 64), np.float32)
    with pytest.raises(CrnnError, match=r"shape \(1, 1, 2, 64\): ") as error:
        onnx_cuda.run_bound(session, OUTPUT_NAMES["greedy"], too_low)
    assert "\n" not in str(error.value)


def test_loading_cuda_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    onnx_cuda.preload_cuda.cache_clear()
    onnx_cuda.preload_cuda()
    assert capfd.readouterr().out == ""


# The rest needs a GPU and onnxruntime-gpu.


@needs_gpu
@needs_provider
def test_the_gpu_reads_what_the_cpu_reads_from_several_threads(onnx_file: Path) -> None:
    batches = [noise(1 + seed % 9, 32 + 32 * (seed % 7), seed) for seed in range(40)]
    with open_backend(onnx_file) as cpu, open_backend(onnx_file, "cuda") as gpu:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(gpu.infer, batches))
        for images, outputs in zip(batches, found, strict=True):
            expected = cpu.infer(images)
            assert outputs["ids"].shape == expected["ids"].shape
            np.testing.assert_allclose(outputs["probs"], expected["probs"], atol=1e-2)


@needs_gpu
@needs_provider
def test_the_provider_takes_every_option(onnx_file: Path) -> None:
    backend = open_backend(onnx_file, "cuda:0", gpu_memory_limit=2**30)
    assert isinstance(backend, OnnxRuntimeBackend)
    assert backend._session is not None
    taken = backend._session.get_provider_options()[onnx_cuda.PROVIDER]
    expected = onnx_cuda.cuda_options(0, 2**30)
    assert {name: taken[name] for name in expected} == expected


@needs_gpu
@needs_provider
def test_a_gpu_that_is_not_there_is_an_error(
    onnx_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((MissingDependencyError, ModelError)):
        OnnxRuntimeBackend(onnx_file, device="cuda:99")
    assert "Falling back" not in capfd.readouterr().out
