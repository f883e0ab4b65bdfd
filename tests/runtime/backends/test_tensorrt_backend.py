"""The TensorRT backend: on a stand-in everywhere, on a real engine where there is a GPU."""

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fake_gpu
import numpy as np
import pytest
from barcode import draw_barcode
from gpu_here import needs_engine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_reader import tiny_card, tiny_model, write_tiny_reader

from crnn_runtime import CrnnError, MissingDependencyError, ModelError
from crnn_runtime.backends import open_backend
from crnn_runtime.backends.tensorrt_backend import (
    EngineShapeError,
    TensorRTBackend,
    choose_profile,
    fit,
    split_batch,
)
from crnn_runtime.backends.tensorrt_lane import MAX_SHAPES
from crnn_runtime.model.engine_file import Profile, Range
from crnn_runtime.picture.preprocess import to_input

ONE = Profile(Range(1, 1, 1), Range(32, 320, 512))
MANY = Profile(Range(2, 4, 8), Range(64, 128, 256))
PROFILES = (ONE, MANY)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_gpu.FakeGpu]:
    yield fake_gpu.install(monkeypatch, PROFILES)
    monkeypatch.undo()
    fake_gpu.uninstall()


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    data = tiny_model().SerializeToString()
    return fake_gpu.write_fake_engine(tmp_path / "x.trt", data, tiny_card(), PROFILES)


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_reader(tmp_path_factory.mktemp("onnx") / "x.onnx")


def noise(batch: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((batch, 1, 32, width), np.float32)


def expect(onnx_file: Path, images: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
    with open_backend(onnx_file) as backend:
        return backend.infer(images)


def check(
    outputs: dict[str, NDArray[np.generic]], onnx_file: Path, images: NDArray[np.float32]
) -> None:
    expected = expect(onnx_file, images)
    assert outputs.keys() == expected.keys()
    for name, values in expected.items():
        steps = values.shape[1]  # padding to the profile's width gives more
        assert outputs[name].dtype == values.dtype
        np.testing.assert_allclose(outputs[name][:, :steps], values, rtol=1e-5)


@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
@pytest.mark.parametrize(
    "shape", [(1, 32), (1, 512), (2, 64), (3, 128), (8, 256), (9, 256), (20, 96), (5, 300), (3, 32)]
)
def test_any_batch_gives_what_the_onnx_file_gives(
    gpu: fake_gpu.FakeGpu,
    tmp_path: Path,
    onnx_file: Path,
    flavour: str,
    shape: tuple[int, int],
) -> None:
    data = onnx_file.read_bytes()
    path = fake_gpu.write_fake_engine(
        tmp_path / "x.trt", data, tiny_card(), PROFILES, flavour=flavour
    )
    images = noise(*shape)
    with TensorRTBackend(path, device="cuda") as backend:
        for _ in range(3):  # plainly, captured, replayed
            check(backend.infer(images), onnx_file, images)
    assert gpu.cuda.memory == {}
    assert gpu.cuda.streams == {}
    assert gpu.cuda.graphs == {}


def test_a_shape_is_captured_at_its_second_call_and_replayed(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    with TensorRTBackend(engine) as backend:
        for seed in range(5):
            images = noise(4, 128, seed)
            check(backend.infer(images), onnx_file, images)
        assert gpu.cuda.counts == {"capture": 1, "launch": 4}


def test_tensorrt_for_rtx_captures_by_itself(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, onnx_file: Path
) -> None:
    path = fake_gpu.write_fake_engine(
        tmp_path / "x.trt", onnx_file.read_bytes(), tiny_card(), PROFILES, flavour="rtx"
    )
    with TensorRTBackend(path) as backend:
        for _ in range(3):
            backend.infer(noise(4, 128))
        backend.infer(noise(4, 160))
    assert gpu.cuda.counts == {"capture": 0, "launch": 0}
    caches = gpu.engines[0].caches  # of compiled kernels: two contexts share one
    assert len(caches) == 2
    assert caches[0] is caches[1]


def test_growing_widths_forget_graphs_of_freed_memory(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    widths = [64, 64, 64, 96, 96, 256, 256, 64, 64, 64, 96, 256]
    with TensorRTBackend(engine) as backend:
        for seed, width in enumerate(widths):
            images = noise(4, width, seed)
            check(backend.infer(images), onnx_file, images)
        assert gpu.cuda.counts["launch"] >= 5


def test_the_number_of_shapes_kept_is_bounded(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, onnx_file: Path
) -> None:
    profiles = (Profile(Range(1, 1, 64), Range(32, 320, 2048)),)
    gpu.profiles = profiles
    path = fake_gpu.write_fake_engine(
        tmp_path / "x.trt", onnx_file.read_bytes(), tiny_card(), profiles
    )
    with TensorRTBackend(path) as backend:
        for width in range(2048, 32, -32):
            for _ in range(2):
                backend.infer(noise(1, width))
        assert len(gpu.cuda.graphs) == MAX_SHAPES


def test_device_memory_follows_the_calls_not_the_profile(
    gpu: fake_gpu.FakeGpu, engine: Path
) -> None:
    with TensorRTBackend(engine) as backend:
        backend.infer(noise(1, 64))
        taken = sum(map(len, gpu.cuda.memory.values()))
        backend.infer(noise(1, 512))
        assert taken < sum(map(len, gpu.cuda.memory.values())) / 2


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
        with pytest.raises(EngineShapeError, match=r"513 pixels wide.* up to 512 .*batch 1:1:1"):
            backend.infer(noise(1, 513))
        with pytest.raises(EngineShapeError, match=r"expected \(N, 1, 32, W\)"):
            backend.infer(np.zeros((1, 3, 32, 64), np.float32))
        with pytest.raises(EngineShapeError):
            backend.infer(np.zeros((0, 1, 32, 64), np.float32))


def test_a_failure_gives_tensorrts_reason_in_one_line_and_the_next_call_works(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    images = noise(1, 64)
    with TensorRTBackend(engine) as backend:
        gpu_engine = gpu.engines[0]
        gpu_engine.refuses = True
        with pytest.raises(CrnnError, match="no kernel for this layer") as error:
            backend.infer(images)
        assert "\n" not in str(error.value)
        gpu_engine.refuses = False
        check(backend.infer(images), onnx_file, images)
    assert gpu.cuda.memory == {}


def test_an_engine_that_cannot_be_captured_runs_plainly(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = fake_gpu.FakeContext.execute_async_v3

    def refuse_in_capture(self: fake_gpu.FakeContext, stream: int) -> bool:
        return self.engine.cuda.streams[stream] is None and plain(self, stream)

    monkeypatch.setattr(fake_gpu.FakeContext, "execute_async_v3", refuse_in_capture)
    with TensorRTBackend(engine) as backend:
        for _ in range(4):
            check(backend.infer(noise(1, 64)), onnx_file, noise(1, 64))
    assert gpu.cuda.counts == {"capture": 0, "launch": 0}


def test_a_capture_that_fails_at_its_end_is_no_failure_of_the_call(
    gpu: fake_gpu.FakeGpu, engine: Path, onnx_file: Path
) -> None:
    gpu.cuda.uncapturable = True
    with TensorRTBackend(engine) as backend:
        for _ in range(4):
            check(backend.infer(noise(1, 64)), onnx_file, noise(1, 64))
    assert gpu.cuda.counts == {"capture": 0, "launch": 0}


def test_memory_that_runs_out_is_one_line(gpu: fake_gpu.FakeGpu, engine: Path) -> None:
    with TensorRTBackend(engine) as backend:
        gpu.cuda.limit = 10_000
        with pytest.raises(CrnnError, match=r"cudaMalloc.* failed: out of memory"):
            backend.infer(noise(8, 256))
        gpu.cuda.limit = None
        backend.infer(noise(8, 256))
    assert gpu.cuda.memory == {}


def test_release_waits_for_the_calls_that_run(gpu: fake_gpu.FakeGpu, engine: Path) -> None:
    backend = TensorRTBackend(engine)
    started, go_on = threading.Event(), threading.Event()
    compute = gpu.engines[0].compute

    def slow(images: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        started.set()
        assert go_on.wait(10)
        return compute(images)

    gpu.engines[0].compute = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(backend.infer, noise(1, 64))
        assert started.wait(10)
        release = pool.submit(backend.close)
        assert not release.done()
        go_on.set()
        assert call.result(10)["ids"].shape == (1, 8)
        release.result(10)
    assert gpu.cuda.memory == {}
    with pytest.raises(ModelError, match="closed"):
        backend.infer(noise(1, 64))
    backend.close()


def test_no_gpu_is_one_line_before_tensorrt_is_touched(
    monkeypatch: pytest.MonkeyPatch, engine: Path
) -> None:
    gpu = fake_gpu.install(monkeypatch, PROFILES, devices=0)
    try:
        with pytest.raises(MissingDependencyError, match=r"no NVIDIA GPU .*insufficient") as error:
            TensorRTBackend(engine)
        assert "\n" not in str(error.value)
        assert gpu.runtimes == 0
    finally:
        monkeypatch.undo()
        fake_gpu.uninstall()


def test_no_gpu_here_is_one_line_with_the_real_libraries(engine: Path) -> None:
    from crnn_runtime.backends.cuda_device import device_count

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
        ({"version": "10.9.0.34"}, r"built with TensorRT 10.9.0.34, installed is 11.4.0.106"),
        ({"targets": ("sm_89", "sm_120")}, r"built for sm_89, sm_120, this GPU is sm_86"),
    ],
)
def test_a_foreign_engine_is_refused_before_tensorrt_is_asked(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    path = fake_gpu.write_fake_engine(tmp_path / "x.trt", b"", tiny_card(), PROFILES, **changes)
    with pytest.raises(ModelError, match=expected):
        TensorRTBackend(path)
    assert gpu.runtimes == 0


def test_what_tensorrt_cannot_load_gives_its_reason(gpu: fake_gpu.FakeGpu, tmp_path: Path) -> None:
    path = fake_gpu.write_fake_engine(tmp_path / "x.trt", b"foreign", tiny_card(), PROFILES)
    with pytest.raises(ModelError, match="cannot be deserialised"):
        TensorRTBackend(path)


def test_an_engine_with_other_outputs_is_refused(gpu: fake_gpu.FakeGpu, tmp_path: Path) -> None:
    path = fake_gpu.write_fake_engine(
        tmp_path / "x.trt",
        tiny_model().SerializeToString(),
        tiny_card().replace(head="log-probs"),
        PROFILES,
    )
    with pytest.raises(ModelError, match=r"log-probs head \(images, log_probs\)"):
        TensorRTBackend(path)


@pytest.mark.parametrize(
    ("lines", "width", "index"),
    [(1, 100, 0), (2, 100, 1), (8, 256, 1), (1, 300, 0), (8, 300, 0), (100, 64, 1), (1, 32, 0)],
)
def test_the_profile_with_the_least_calls_is_chosen(lines: int, width: int, index: int) -> None:
    assert choose_profile(PROFILES, lines, width) == index


SERVER = (
    Profile(Range(1, 1, 1), Range(32, 320, 2048)),
    Profile(Range(2, 8, 16), Range(32, 320, 2048)),
    Profile(Range(16, 64, 64), Range(32, 64, 512)),
    Profile(Range(1, 1, 1), Range(32, 1536, 2048)),
)


@pytest.mark.parametrize(
    ("lines", "width", "index"),
    [
        (1, 320, 0),
        (1, 1500, 3),  # as good as the first, but tuned for it
        (8, 1500, 1),
        (16, 320, 1),  # both serve it in one call; 8 × 320 is nearer than 64 × 64
        (17, 320, 2),
        (64, 64, 2),
        (40, 1024, 1),  # the third is too narrow
        (200, 96, 2),
    ],
)
def test_of_several_batches_and_widths_the_nearest_is_chosen(
    lines: int, width: int, index: int
) -> None:
    assert choose_profile(SERVER, lines, width) == index


@given(
    st.lists(st.tuples(*[st.integers(1, 70)] * 3, *[st.integers(32, 2048)] * 3), min_size=1),
    st.integers(1, 200),
    st.integers(32, 2048),
)
def test_whatever_is_chosen_serves_every_part(
    bounds: list[tuple[int, ...]], lines: int, width: int
) -> None:
    profiles = [Profile(Range(*sorted(each[:3])), Range(*sorted(each[3:]))) for each in bounds]
    if width > max(profile.width.max for profile in profiles):
        with pytest.raises(EngineShapeError, match=f"{width} pixels wide"):
            choose_profile(profiles, lines, width)
        return
    profile = profiles[choose_profile(profiles, lines, width)]
    images = np.zeros((lines, 1, 1, width), np.float32)
    parts = [fit(part, profile) for part in split_batch(images, profile)]
    assert all(len(part) in profile.batch and part.shape[3] in profile.width for part in parts)
    calls = {math.ceil(lines / p.batch.max) for p in profiles if width <= p.width.max}
    assert len(parts) == min(calls)


def test_a_batch_is_split_evenly() -> None:
    parts = [len(part) for part in split_batch(noise(20, 64), MANY)]
    assert parts == [7, 7, 6]


# The rest runs a real engine.


@needs_engine
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_real_engine_reads_what_the_onnx_file_reads(tmp_path: Path, precision: str) -> None:
    from crnn_export.precision.reduce import convert_precision
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
        for _ in range(4):
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

    info = build_engine(onnx_file, tmp_path / "x.trt")
    with TensorRTBackend(tmp_path / "x.trt") as backend:
        backend.infer(noise(1, 64))
        free = call("cudaMemGetInfo")[0]
        for _ in range(20):
            backend.infer(noise(1, 64))
        assert call("cudaMemGetInfo")[0] == free
        backend.infer(noise(64, 2048))
        assert free - call("cudaMemGetInfo")[0] > info.record.activation_bytes / 2


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
