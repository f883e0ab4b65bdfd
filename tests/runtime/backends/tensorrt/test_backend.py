"""The TensorRT backend: on a stand-in everywhere, on a real engine where there is a GPU."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fake_gpu
import numpy as np
import pytest
from engine_checks import PROFILES, check, noise, refusal
from fake_cuda import FakeCuda
from fake_tensorrt import FakeContext, FakeEngine
from refusals import refused
from tiny_reader import tiny_card, tiny_model

from crnn_runtime import CrnnError, MissingDependencyError, ModelError
from crnn_runtime.backends.cuda_device import device_count
from crnn_runtime.backends.tensorrt import library
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
from crnn_runtime.backends.tensorrt.calls import EngineShapeError
from crnn_runtime.backends.tensorrt.engine import check_validity


@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
@pytest.mark.parametrize(
    "shape", [(1, 32), (1, 512), (2, 64), (3, 128), (8, 256), (9, 256), (20, 96), (5, 300), (3, 32)]
)
def test_any_batch_gives_what_the_onnx_file_gives(
    gpu: fake_gpu.FakeGpu,
    engine: Path,
    rtx_engine: Path,
    onnx_file: Path,
    flavour: str,
    shape: tuple[int, int],
) -> None:
    images = noise(*shape)
    with TensorRTBackend(engine if flavour == "tensorrt" else rtx_engine) as backend:
        for _ in range(6):  # plainly, captured, replayed
            check(backend.infer(images), onnx_file, images)
    assert gpu.cuda.is_empty


def test_fewer_lines_than_before_leave_nothing_of_them(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    with TensorRTBackend(engine) as backend:
        for lines, width in [(8, 256), (5, 96), (8, 256), (3, 200)]:
            images = noise(lines, width, lines)
            check(backend.infer(images), onnx_file, images)


def test_narrower_lines_than_before_leave_nothing_of_them(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    """Both are run in the profile's least width."""
    least = PROFILES[1].width.min
    narrow = noise(4, least - 24)
    padded = np.pad(narrow, ((0, 0), (0, 0), (0, 0), (0, 24)))
    with TensorRTBackend(engine) as backend:
        backend.infer(noise(4, least, 1))
        check(backend.infer(narrow), onnx_file, padded)


def test_memory_that_tensorrt_cannot_tell_is_that_of_the_largest_call(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = FakeContext.update_device_memory_size_for_shapes
    monkeypatch.setattr(
        FakeContext, "update_device_memory_size_for_shapes", lambda self: 0 * tell(self)
    )
    with TensorRTBackend(engine) as backend:
        check(backend.infer(noise(4, 96)), onnx_file, noise(4, 96))


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_other_floating_types_are_read_as_float32(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path, dtype: type[np.floating]
) -> None:
    images = noise(8, 256).astype(dtype)
    with TensorRTBackend(engine) as backend:
        check(backend.infer(images), onnx_file, images.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.complex64])
def test_what_is_no_floating_type_is_refused(
    gpu: fake_gpu.FakeGpu, engine: Path, dtype: type[np.generic]
) -> None:
    with TensorRTBackend(engine) as backend, pytest.raises(CrnnError):
        backend.infer(np.ones((1, 1, 32, 64), dtype))


def test_an_array_that_is_not_contiguous_is_read(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    images = noise(8, 256)[::2, :, :, ::-1]
    with TensorRTBackend(engine) as backend:
        check(backend.infer(images), onnx_file, np.ascontiguousarray(images))


def test_device_memory_follows_the_calls_not_the_profile(
    gpu: fake_gpu.FakeGpu, engine: Path
) -> None:
    def taken() -> int:
        return sum(len(block) for block in gpu.cuda.memory.values())

    with TensorRTBackend(engine) as backend:
        backend.infer(noise(1, 64))
        before = taken()
        backend.infer(noise(1, 512))  # of the same profile: only activations grow
        largest = gpu.engines[0].device_memory_size_v2
        assert 0 < taken() - before <= largest
        backend.infer(noise(8, 192))
        backend.infer(noise(8, 256))
        blocks = [len(gpu.cuda.memory[a]) for a, kind in gpu.cuda.kinds.items() if kind == "device"]
        assert max(blocks) == largest  # half as much again ends there


def test_several_threads_share_one_backend(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    batches = [noise(1 + seed % 9, 32 + 32 * (seed % 7), seed) for seed in range(60)]
    with TensorRTBackend(engine) as backend, ThreadPoolExecutor(8) as pool:
        for images, outputs in zip(batches, pool.map(backend.infer, batches), strict=True):
            check(outputs, onnx_file, images)
        assert len(gpu.cuda.streams) == 2


def test_what_no_profile_serves_is_refused_by_name_and_range(
    gpu: fake_gpu.FakeGpu, engine: Path
) -> None:
    with TensorRTBackend(engine) as backend:
        with pytest.raises(EngineShapeError, match="513"):
            backend.infer(noise(1, 513))
        for shape in [(1, 3, 32, 64), (0, 1, 32, 64), (1, 1, 32, 0), (32, 64)]:
            with pytest.raises(EngineShapeError):
                backend.infer(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [("refuses", "no kernel for this layer"), ("shapeless", "shapes do not match")],
)
def test_a_failure_gives_tensorrts_first_reason_in_one_line_and_the_next_call_works(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path, spoil: str, reason: str
) -> None:
    images = noise(1, 64)
    with TensorRTBackend(engine) as backend:
        setattr(gpu.engines[0], spoil, True)
        assert reason in refusal(backend.infer, images)
        setattr(gpu.engines[0], spoil, False)
        check(backend.infer(images), onnx_file, images)
    assert gpu.cuda.is_empty


def test_memory_that_runs_out_is_one_line(gpu: fake_gpu.FakeGpu, engine: Path) -> None:
    with TensorRTBackend(engine) as backend:
        gpu.cuda.limit = 10_000
        assert "out of memory" in refusal(backend.infer, noise(8, 256))
        gpu.cuda.limit = None
        backend.infer(noise(8, 256))
    assert gpu.cuda.is_empty


@pytest.mark.parametrize("device", [0, 1])
def test_the_callers_device_stays_current(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path, device: int
) -> None:
    gpu.cuda.devices = 2
    gpu.cuda.cudaSetDevice(device)
    with TensorRTBackend(engine, device="cuda:1") as backend:
        assert gpu.cuda.device == device
        check(backend.infer(noise(1, 64)), onnx_file, noise(1, 64))
        gpu.engines[0].refuses = True
        with pytest.raises(CrnnError):
            backend.infer(noise(1, 64))
        assert gpu.cuda.device == device
    assert gpu.cuda.device == device


def test_no_gpu_is_one_line_before_tensorrt_is_touched(
    monkeypatch: pytest.MonkeyPatch, engine: Path
) -> None:
    gpu = fake_gpu.install(monkeypatch, PROFILES, devices=0)
    try:
        with pytest.raises(MissingDependencyError) as error:
            TensorRTBackend(engine)
        assert "\n" not in str(error.value)
        assert gpu.runtimes == 0
    finally:
        monkeypatch.undo()
        fake_gpu.uninstall()


def test_no_gpu_here_is_one_line_with_the_real_libraries(engine: Path) -> None:
    if device_count():
        pytest.skip("this machine has a GPU")
    with pytest.raises(MissingDependencyError):
        TensorRTBackend(engine)


@pytest.mark.parametrize("device", ["cpu", "cuda:x", "cuda:7", ""])
def test_an_unknown_device_is_refused(gpu: fake_gpu.FakeGpu, engine: Path, device: str) -> None:
    with pytest.raises(CrnnError, match=device or "cuda"):
        TensorRTBackend(engine, device=device)
    assert gpu.runtimes == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": "10.9.0.34"}, r"10\.9\.0\.34.* 11\.4\.0\.106"),
        ({"targets": ("sm_89", "sm_120")}, r"sm_89, sm_120.* sm_86"),
    ],
)
def test_a_foreign_engine_is_refused_before_tensorrt_is_asked(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    path = fake_gpu.write_fake_engine(tmp_path / "x.trt", b"", tiny_card(), PROFILES, **changes)
    with pytest.raises(ModelError, match=expected):
        TensorRTBackend(path)
    assert gpu.runtimes == 0


def test_what_tensorrt_cannot_load_gives_its_first_reason(
    gpu: fake_gpu.FakeGpu, tmp_path: Path
) -> None:
    path = fake_gpu.write_fake_engine(tmp_path / "x.trt", b"foreign", tiny_card(), PROFILES)
    with refused(path, kind=ModelError):
        TensorRTBackend(path)


def test_tensorrt_for_rtx_is_asked_for_its_diagnosis(
    gpu: fake_gpu.FakeGpu, rtx_engine: Path
) -> None:
    gpu.validity = (fake_gpu.Validity.INVALID, 4 | 2)
    with pytest.raises(ModelError, match="unsupported cc, old cuda driver"):
        TensorRTBackend(rtx_engine)
    assert gpu.engines == []
    gpu.validity = (fake_gpu.Validity.SUBOPTIMAL, 0)
    TensorRTBackend(rtx_engine).close()


def test_the_real_library_knows_what_is_no_engine() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    runtime = library.create("rtx", "Runtime")
    with pytest.raises(ModelError, match="malformed engine"):
        check_validity(Path("x.trt"), trt, runtime, b"x" * 64)
    if device_count() == 0:  # it names no reason then, but logs one
        header = fake_gpu.fake_plan(b"", "rtx")
        with pytest.raises(ModelError, match="driver"):
            check_validity(Path("x.trt"), trt, runtime, header)


def test_an_engine_that_another_gpu_was_timed_for_is_a_warning(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tiny_model().SerializeToString()
    for name, warnings in [("Fake GPU", 0), ("Another GPU", 1)]:
        path = tmp_path / f"{name}.trt"
        fake_gpu.write_fake_engine(path, data, tiny_card(), PROFILES, gpu=name)
        TensorRTBackend(path).close()
        found = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert len(found) == warnings


def test_an_engine_with_other_outputs_is_refused(gpu: fake_gpu.FakeGpu, tmp_path: Path) -> None:
    path = fake_gpu.write_fake_engine(
        tmp_path / "x.trt",
        tiny_model().SerializeToString(),
        tiny_card().replace(head="log-probs"),
        PROFILES,
    )
    with pytest.raises(ModelError, match="log_probs"):
        TensorRTBackend(path)


def test_what_runs_is_what_the_card_of_a_plan_says(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    with TensorRTBackend(engine) as written:
        plan, card, record = engine.read_bytes(), written.card, written.record
    engine.unlink()
    with TensorRTBackend.of_plan(engine, plan, card, record) as backend:
        check(backend.infer(noise(3, 96)), onnx_file, noise(3, 96))
    assert gpu.cuda.is_empty


def test_release_waits_for_the_calls_that_run(
    gpu: fake_gpu.FakeGpu, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = TensorRTBackend(engine)
    started, go_on = threading.Event(), threading.Event()
    run = FakeEngine.run

    def slow(*arguments: Any) -> None:  # noqa: ANN401
        started.set()
        assert go_on.wait(10)
        run(*arguments)

    monkeypatch.setattr(FakeEngine, "run", slow)
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(backend.infer, noise(1, 64))
        assert started.wait(10)
        release = pool.submit(backend.close)
        assert not release.done()
        go_on.set()
        assert call.result(10)["ids"].shape == (1, 8)
        release.result(10)
    with pytest.raises(ModelError):
        backend.infer(noise(1, 64))
    backend.close()
    assert gpu.cuda.is_empty


def test_the_stand_in_is_as_strict_as_it_says() -> None:
    cuda = FakeCuda()
    _, stream = cuda.cudaStreamCreateWithFlags(1)
    address = cuda.cudaMalloc(16)[1]
    _, host = cuda.cudaMallocHost(16)
    cuda.cudaMemcpyAsync(address, host, 32, "H2D", stream)
    with pytest.raises(AssertionError):  # the buffer is too small, seen when it is done
        cuda.cudaStreamSynchronize(stream)
    assert cuda.cudaFree(address) == (0,)
    assert cuda.cudaFree(address) == (1,)
    with pytest.raises(TypeError):
        int(stream)
    cuda.lost = 700
    assert cuda.cudaMalloc(16) == (700, None)
