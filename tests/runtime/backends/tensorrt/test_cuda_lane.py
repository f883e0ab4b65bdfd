"""A lane on the CUDA runtime without TensorRT: capture, memory, threads, devices.

Each test runs on the stand-in everywhere, and on the real CUDA runtime where there is an
NVIDIA GPU: cuda-bindings, numpy and pytest are all that it needs there.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import copy_engine
import numpy as np
import pytest
from fake_cuda import FakeCuda, stand_in
from gpu_here import GPU_MARKS
from numpy.typing import NDArray

from crnn_runtime import CrnnError
from crnn_runtime.backends.cuda_device import call, device_count, on_device
from crnn_runtime.backends.tensorrt.calls import plan_calls
from crnn_runtime.backends.tensorrt.pool import MAX_LANES, Pool

TOLERANCE = 8 * 2**20  # bytes: what CUDA keeps for itself, and other processes


@pytest.fixture(params=["stand-in", pytest.param("real", marks=GPU_MARKS)])
def cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "stand-in":
        with stand_in(monkeypatch, FakeCuda(devices=2)):
            yield "stand-in"
    else:
        yield "real"


def infer(pool: Pool, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """As `TensorRTBackend.infer` does it."""
    parts = []
    for planned in plan_calls(copy_engine.PROFILES, len(images), images.shape[3]):
        part = images[planned.first : planned.last]
        with pool.lane() as lane:
            outputs = lane.run(planned, part)
        parts.append(outputs[copy_engine.OUTPUT][: len(part), :, :, : images.shape[3]])
    return np.concatenate(parts)


def noise(batch: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((batch, 1, 32, width), np.float32)


def open_pool(engine: copy_engine.CopyEngine, device: int = 0) -> Pool:
    return Pool(copy_engine.load_copy_engine(engine, device))


@pytest.mark.usefixtures("cuda")
def test_what_is_copied_comes_back_plain_captured_and_replayed() -> None:
    engine = copy_engine.CopyEngine()
    pool = open_pool(engine)
    kept = []
    for seed in range(12):
        for batch, width in [(1, 32), (4, 64), (8, 512), (8, 200), (11, 64)]:
            images = noise(batch, width, seed)
            kept.append((images, infer(pool, images)))
    for images, copies in kept:  # the pinned memory was written many times since
        np.testing.assert_array_equal(copies, images)
    pool.close()
    assert engine.enqueued < 40  # of 72 runs: the others were replayed
    assert engine.contexts <= 8


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("capture", ["synchronises", "says no"])
def test_a_capture_that_fails_leaves_a_lane_that_runs(
    capture: Literal["synchronises", "says no"],
) -> None:
    engine = copy_engine.CopyEngine(capture)
    pool = open_pool(engine)
    for seed in range(10):
        images = noise(4, 64, seed)
        np.testing.assert_array_equal(infer(pool, images), images)
    pool.close()
    # One in vain, and nothing is replayed after it: it is not tried again.
    assert engine.enqueued == 11


@pytest.mark.usefixtures("cuda")
def test_threads_get_their_own_lines() -> None:
    pool = open_pool(copy_engine.CopyEngine())
    shapes = [(1, 32), (3, 64), (8, 512), (8, 96), (20, 128)]
    batches = [noise(*shapes[seed % len(shapes)], seed) for seed in range(200)]
    seen: set[int] = set()

    def read(images: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.add(threading.get_ident())
        return infer(pool, images)

    with ThreadPoolExecutor(8) as threads:
        for images, copies in zip(batches, threads.map(read, batches), strict=True):
            np.testing.assert_array_equal(copies, images)
    pool.close()
    assert len(seen) > MAX_LANES


@pytest.mark.usefixtures("cuda")
def test_an_error_is_of_its_call_alone() -> None:
    engine = copy_engine.CopyEngine()
    pool = open_pool(engine)
    for seed in range(8):
        engine.fails = seed % 2 == 1
        if engine.fails:
            with pytest.raises(CrnnError, match="the engine refuses"):
                infer(pool, noise(4, 64))
        else:
            np.testing.assert_array_equal(infer(pool, noise(4, 64, seed)), noise(4, 64, seed))
    pool.close()


@pytest.mark.usefixtures("cuda")
def test_every_device_serves_and_the_callers_stays_current() -> None:
    for device in range(min(2, device_count())):
        pool = open_pool(copy_engine.CopyEngine(), device)
        before = call("cudaGetDevice")
        for seed in range(6):
            np.testing.assert_array_equal(infer(pool, noise(4, 64, seed)), noise(4, 64, seed))
        pool.close()
        assert call("cudaGetDevice") == before


def test_no_memory_is_lost(cuda: str) -> None:
    def cycle(failing: bool) -> None:
        engine = copy_engine.CopyEngine()
        pool = open_pool(engine)
        for seed in range(6):
            infer(pool, noise(8, 512, seed))
        engine.fails = failing
        if failing:
            with pytest.raises(CrnnError):
                infer(pool, noise(8, 500))
        pool.close()

    tolerance = 0 if cuda == "stand-in" else TOLERANCE
    with on_device(0):
        for _ in range(3):  # the baseline: CUDA has started by then
            cycle(failing=False)
        free = call("cudaMemGetInfo")[0]
        for number in range(20):
            cycle(failing=number % 2 == 0)
        assert call("cudaMemGetInfo")[0] >= free - tolerance
