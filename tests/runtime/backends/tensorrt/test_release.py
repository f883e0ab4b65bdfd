"""Nothing of an engine is left on the GPU: after close, drop, errors, and at exit."""

import gc
import subprocess
import sys
import textwrap
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import fake_gpu
import pytest
from engine_checks import check, noise, refusal

from crnn_runtime import Recognizer
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("reader", [TensorRTBackend, Recognizer])
def test_what_is_dropped_releases_all(
    gpu: fake_gpu.FakeGpu, engine: Path, rtx_engine: Path, reader: Callable[[Path], object]
) -> None:
    for path in (engine, rtx_engine, engine):
        opened = reader(path)
        backend = opened if isinstance(opened, TensorRTBackend) else opened._backend  # type: ignore[attr-defined]
        for _ in range(5):
            backend.infer(noise(4, 64))
        assert not gpu.cuda.is_empty
        del backend, opened
        gc.collect()
        assert gpu.cuda.is_empty


def test_closing_twice_and_using_what_is_closed(gpu: fake_gpu.FakeGpu, engine: Path) -> None:
    backend = TensorRTBackend(engine)
    backend.infer(noise(1, 64))
    backend.close()
    backend.close()
    assert refusal(backend.infer, noise(1, 64))
    assert gpu.cuda.is_empty  # the weights, too, though the backend is still referred to


class BrokenError(BaseException):
    """An exception that no code of ours expects, as KeyboardInterrupt is."""


FLAVOURS = pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])


@pytest.fixture
def path(engine: Path, rtx_engine: Path, flavour: str) -> Path:
    """An engine of the flavour."""
    return engine if flavour == "tensorrt" else rtx_engine


class Saboteur:
    """Lets the n-th call of CUDA or TensorRT fail, and counts them."""

    def __init__(self, gpu: fake_gpu.FakeGpu, how: str) -> None:
        self.calls: list[str] = []
        self.fails_at: int | None = None
        self._how = how
        gpu.cuda.failing = self._cuda
        gpu.engines[0].asked = self._tensorrt

    def _due(self, name: str) -> bool:
        self.calls.append(name)
        return self.fails_at == len(self.calls)

    def _cuda(self, name: str) -> int:
        if not self._due(name):
            return 0
        if self._how == "interrupt":
            raise BrokenError
        return 999

    def _tensorrt(self, name: str) -> None:
        if self._due(name):
            raise BrokenError if self._how == "interrupt" else RuntimeError(f"{name} has failed")


def forget_stand_ins(error: BaseException | None) -> None:
    """Clear the frames in the stand-ins: the libraries are in C++ and have none."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if Path(frame.f_code.co_filename).name.startswith("fake_"):
                frame.clear()
        error = error.__context__


CALLS = {
    ("tensorrt", 0): 24, ("tensorrt", 2): 19, ("tensorrt", 3): 8, ("tensorrt", 4): 3,
    ("rtx", 0): 24, ("rtx", 2): 6, ("rtx", 3): 6, ("rtx", 4): 6,
}  # fmt: skip
"""Flavour and calls before → calls of CUDA and TensorRT that a request makes at least."""


@FLAVOURS
@pytest.mark.parametrize("how", ["error", "interrupt"])
@pytest.mark.parametrize("before", [0, 2, 3, 4])  # first call, promotion, capture, replay
def test_an_exception_in_any_call_of_a_request_leaves_nothing(
    gpu: fake_gpu.FakeGpu, path: Path, onnx_file: Path, flavour: str, before: int, how: str
) -> None:
    images = noise(4, 64)
    number, seen, kept = 1, set(), []
    while True:
        backend = TensorRTBackend(path)
        saboteur = Saboteur(gpu, how)
        for _ in range(before):
            backend.infer(images)
        saboteur.calls.clear()
        saboteur.fails_at = number
        try:
            backend.infer(images)
        except (BrokenError, ValueError) as error:
            if flavour == "tensorrt":  # a configuration of RTX's refers to its engine
                kept.append(error)  # as a log does: its traceback refers to all on the way
                forget_stand_ins(error)
        else:
            # It is over, or what failed is no failure of the call: a capture.
            if len(saboteur.calls) < number:
                saboteur.fails_at = None
                break
        seen.add(saboteur.calls[number - 1])
        saboteur.fails_at = None
        check(backend.infer(images), onnx_file, images)
        backend.close()
        assert gpu.cuda.is_empty, saboteur.calls[number - 1]
        number += 1
    assert number > CALLS[flavour, before]
    assert {"cudaStreamSynchronize", "cudaGetDevice"} <= seen
    backend.close()


@FLAVOURS
def test_an_error_that_costs_the_gpu_says_so_and_close_ends(
    gpu: fake_gpu.FakeGpu, path: Path
) -> None:
    backend = TensorRTBackend(path)
    backend.infer(noise(1, 64))
    gpu.cuda.lost = 700
    message = refusal(backend.infer, noise(1, 64))
    assert "illegal memory access" in message
    assert "restart" in message
    backend.close()
    assert gpu.engines == []


def test_every_function_is_asked_with_the_engines_device_current(
    gpu: fake_gpu.FakeGpu, rtx_engine: Path
) -> None:
    gpu.cuda.devices = 2
    backend = TensorRTBackend(rtx_engine, device="cuda:1")
    seen: set[tuple[str, int]] = set()

    def note(name: str) -> None:
        seen.add((name, gpu.cuda.device))

    gpu.engines[0].asked = note
    weakref.finalize(gpu.engines[0], note, "released")
    for width in (64, 64, 64, 96):
        backend.infer(noise(4, width))
    backend.close()
    assert {"serialize", "execute_async_v3", "released"} <= {name for name, _ in seen}
    assert {device for _, device in seen} == {1}
    assert gpu.cuda.device == 0


def test_work_is_waited_for_before_its_memory_is_freed(gpu: fake_gpu.FakeGpu, engine: Path) -> None:
    backend = TensorRTBackend(engine)
    backend.infer(noise(1, 64))
    waits = iter([999])  # the call's own wait fails, so that its work is still on the stream
    busy: list[str] = []

    def failing(name: str) -> int:
        if name.startswith("cudaFree") and any(gpu.cuda.streams.values()):
            busy.append(name)
        return next(waits, 0) if name == "cudaStreamSynchronize" else 0

    gpu.cuda.failing = failing
    refusal(backend.infer, noise(1, 64))
    backend.close()
    assert busy == []
    assert gpu.cuda.is_empty


SCRIPT = """
import atexit, faulthandler, gc, sys, threading
atexit.register(lambda: print(gpu.cuda.is_empty))
faulthandler.dump_traceback_later(60, exit=True)
from pathlib import Path
import fake_gpu, pytest
from engine_checks import noise, PROFILES
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
gpu = fake_gpu.install(pytest.MonkeyPatch(), PROFILES)
backend = TensorRTBackend(Path(sys.argv[1]))
for width in (64, 96, 128):
    backend.infer(noise(4, width))
"""


@pytest.mark.parametrize("end", ["dropped", "closed", "at exit", "thread at exit"])
@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
def test_no_end_of_a_process_waits_for_ever(
    engine: Path, rtx_engine: Path, flavour: Literal["tensorrt", "rtx"], end: str
) -> None:
    more = {
        "dropped": "del backend; gc.collect(); assert gpu.cuda.is_empty",
        "closed": "backend.close(); assert gpu.cuda.is_empty",
        "at exit": "",
        "thread at exit": """
            def run():
                try:
                    while True:
                        backend.infer(noise(4, 64))
                except ValueError:
                    pass  # it is closed
            threading.Thread(target=run, daemon=True).start()
        """,
    }[end]
    path = engine if flavour == "tensorrt" else rtx_engine
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(more), str(path)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / '.typing'}:{ROOT / 'tests/support/engines'}"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout.split() == ["True"]
