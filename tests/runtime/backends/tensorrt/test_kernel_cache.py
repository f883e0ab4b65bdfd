"""The kernels of TensorRT for RTX, kept beside the engine."""

import errno
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import fake_gpu
import pytest
from engine_checks import check, noise
from fake_tensorrt import FakeCache

from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
from crnn_runtime.backends.tensorrt.kernel_cache import KernelCache
from crnn_runtime.backends.tensorrt.pool import Pool


def run(gpu: fake_gpu.FakeGpu, path: Path, widths: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes whose kernels a process compiled to read batches of these widths."""
    with TensorRTBackend(path) as backend:
        for width in widths:
            backend.infer(noise(4, width))
        return list(gpu.engines[0].compiled)


def test_what_was_compiled_is_not_compiled_again(
    gpu: fake_gpu.FakeGpu, rtx_engine: Path, onnx_file: Path
) -> None:
    assert len(run(gpu, rtx_engine, (64, 96, 64, 128))) == 3
    cache = rtx_engine.with_name(rtx_engine.name + ".rtxcache")
    assert cache.is_file()
    assert run(gpu, rtx_engine, (64, 96, 128)) == []
    assert run(gpu, rtx_engine, (128, 160)) == [(4, 1, 32, 160)]
    with TensorRTBackend(rtx_engine) as backend:
        check(backend.infer(noise(4, 160)), onnx_file, noise(4, 160))


def test_all_lanes_share_one_cache(gpu: fake_gpu.FakeGpu, rtx_engine: Path) -> None:
    with TensorRTBackend(rtx_engine) as backend, ThreadPoolExecutor(4) as pool:
        list(pool.map(backend.infer, [noise(4, 64)] * 40))
        assert len(set(gpu.engines[0].caches)) == 1


def test_a_process_that_is_killed_has_saved_the_most(
    gpu: fake_gpu.FakeGpu, rtx_engine: Path
) -> None:
    backend = TensorRTBackend(rtx_engine)
    for width in range(64, 257, 32):
        backend.infer(noise(4, width))
    copy = rtx_engine.with_name("copy.trt")
    for suffix in ("", ".json", ".rtxcache"):
        shutil.copy(f"{rtx_engine}{suffix}", f"{copy}{suffix}")
    backend.close()
    assert 1 <= len(run(gpu, copy, tuple(range(64, 257, 32)))) <= 4  # of seven shapes


@pytest.mark.parametrize("content", [b"", b"junk", b"1.6.1 Fake GPU\nold"])
def test_a_cache_of_elsewhere_is_ignored(
    gpu: fake_gpu.FakeGpu, rtx_engine: Path, content: bytes
) -> None:
    cache = rtx_engine.with_name(rtx_engine.name + ".rtxcache")
    cache.write_bytes(content)
    assert len(run(gpu, rtx_engine, (64,))) == 1
    assert cache.read_bytes().startswith(FakeCache.RELEASE)


def test_nothing_is_saved_while_a_call_runs(gpu: fake_gpu.FakeGpu, rtx_engine: Path) -> None:
    cache = rtx_engine.with_name(rtx_engine.name + ".rtxcache")
    runs, may_end = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == "execute_async_v3" and threading.current_thread() is not threading.main_thread():
            runs.set()
            assert may_end.wait(10)

    with TensorRTBackend(rtx_engine) as backend, ThreadPoolExecutor(1) as pool:
        gpu.engines[0].asked = hold
        call = pool.submit(backend.infer, noise(4, 96))
        assert runs.wait(10)
        backend.infer(noise(4, 64))
        assert not cache.exists()
        may_end.set()
        call.result(10)
        assert cache.exists()


def test_a_folder_that_cannot_be_written_is_no_error(
    gpu: fake_gpu.FakeGpu, rtx_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)  # also of a file that is not there
    assert len(run(gpu, rtx_engine, (64, 96))) == 2
    assert not rtx_engine.with_name(rtx_engine.name + ".rtxcache").exists()
    assert gpu.cuda.is_empty


def test_kernels_that_cannot_be_kept_are_no_error_of_the_lines(
    gpu: fake_gpu.FakeGpu, rtx_engine: Path, onnx_file: Path
) -> None:
    def refuse(name: str) -> None:
        if name == "serialize":
            raise RuntimeError("no memory for them")

    with TensorRTBackend(rtx_engine) as backend:
        gpu.engines[0].asked = refuse
        check(backend.infer(noise(4, 64)), onnx_file, noise(4, 64))
    assert not rtx_engine.with_name(rtx_engine.name + ".rtxcache").exists()
    assert gpu.cuda.is_empty


def test_a_cache_that_fails_to_be_saved_lets_nobody_wait_for_the_lane(
    gpu: fake_gpu.FakeGpu, rtx_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    backend = TensorRTBackend(rtx_engine)
    backend.infer(noise(4, 64))
    pool = backend._pool
    closing = threading.Thread(target=backend.close, daemon=True)
    lent = ExitStack()
    lent.enter_context(pool.lane())
    pool._loaded.kernels.due = True  # type: ignore[union-attr]
    monkeypatch.setattr(KernelCache, "save", fail)
    closing.start()
    while not is_closed(pool):
        pass
    with pytest.raises(ZeroDivisionError):
        lent.close()
    closing.join(10)
    assert not closing.is_alive()
    assert gpu.cuda.is_empty


def is_closed(pool: Pool) -> bool:
    """Whether `close` waits, which lets go of the lock only then."""
    with pool._changed:
        return pool._closed


def test_tensorrt_itself_has_no_such_cache(gpu: fake_gpu.FakeGpu, engine: Path) -> None:
    run(gpu, engine, (64,))
    assert sorted(each.name for each in engine.parent.iterdir()) == [
        engine.name,
        f"{engine.name}.json",
    ]
