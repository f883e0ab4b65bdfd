"""The choice of a TensorRT, and its log."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_gpu
import pytest
from engine_checks import PROFILES, refusal

from crnn_runtime import MissingDependencyError
from crnn_runtime.backends.tensorrt import library
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
from crnn_runtime.model.engine_file import Flavour

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("flavour", "version", "good"),
    [
        ("tensorrt", "10.7.0.23", False),
        ("tensorrt", "10.8.0.43", True),
        ("tensorrt", "10.13.3.9.post1", True),
        ("tensorrt", "11.0.0.1", True),
        ("rtx", "1.6.1.30", False),
        ("rtx", "1.7.0.1", True),
        ("rtx", "1.10.0.1", True),
        ("rtx", "2.0.0.1", True),
    ],
)
def test_releases_with_known_faults_are_refused(
    monkeypatch: pytest.MonkeyPatch, flavour: Flavour, version: str, good: bool
) -> None:
    fake_gpu.install(monkeypatch, PROFILES, versions={"tensorrt": version, "rtx": version})
    try:
        if good:
            assert library.load_library(flavour).__version__ == version
        else:
            with pytest.raises(MissingDependencyError) as error:
                library.load_library(flavour)
            assert version in str(error.value)
            assert "\n" not in str(error.value)
    finally:
        monkeypatch.undo()
        fake_gpu.uninstall()


def test_a_library_that_cannot_start_says_why(gpu: fake_gpu.FakeGpu, engine: Path) -> None:
    gpu.unusable = "CUDA initialization failure\nwith error: 35"
    message = refusal(TensorRTBackend, engine)
    assert "CUDA initialization failure with error: 35" in message
    assert "13.2" in message  # of the driver
    with pytest.raises(MissingDependencyError):
        library.create("tensorrt", "Builder")


LATE = """
import logging
import fake_gpu, pytest
from crnn_runtime.backends.tensorrt.library import shared_logger
logging.basicConfig(level=logging.DEBUG)
fake_gpu.install(pytest.MonkeyPatch(), ())

class Late:
    def __init__(self, say):
        self.say = say

    def __del__(self):
        self.say("late")

logger = shared_logger("rtx")
Late(lambda words: logger.log(logger.Severity.ERROR, words.replace("late", "early")))
late = Late(lambda words, log=logger.log, level=logger.Severity.ERROR: log(level, words))
"""


def test_an_interpreter_that_ends_is_not_logged_to() -> None:
    result = subprocess.run(
        [sys.executable, "-c", LATE],
        env={"PYTHONPATH": f"{ROOT / '.typing'}:{ROOT / 'tests/support/engines'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "early" in result.stderr
    assert "late" not in result.stderr
    assert "Exception" not in result.stderr


def test_the_first_error_of_a_cascade_is_the_cause(gpu: fake_gpu.FakeGpu) -> None:
    levels = fake_gpu.FakeLogger.Severity
    logger = library.shared_logger("tensorrt")
    with library.collect_logs() as lines:
        logger.log(levels.WARNING, "a hint")
        logger.log(levels.ERROR, "the\ncause")
        logger.log(levels.INTERNAL_ERROR, "a consequence")
    assert library.first_error(lines) == "the cause"
    assert library.first_error(lines[:1])


def test_listeners_of_several_threads_neither_miss_nor_stay(gpu: fake_gpu.FakeGpu) -> None:
    logger = library.shared_logger("tensorrt")
    level = fake_gpu.FakeLogger.Severity.INFO
    missing: list[str] = []

    def listen(name: str) -> None:
        for number in range(500):
            with library.collect_logs() as lines:
                logger.log(level, f"{name} {number}")
            if not any(message == f"{name} {number}" for _, message in lines):
                missing.append(f"{name} {number}")

    run_at_once([lambda name=str(n): listen(name) for n in range(4)])  # type: ignore[misc]
    assert missing == []
    with library.collect_logs() as lines:
        logger.log(level, "last")
    assert [message for _, message in lines] == ["last"]
    assert library.listeners == ()


def test_a_listener_that_comes_while_another_leaves_is_heard(
    gpu: fake_gpu.FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = library.shared_logger("tensorrt")
    came, may_leave = threading.Event(), threading.Event()
    heard: list[str] = []

    def listen() -> None:
        with library.collect_logs() as lines:
            came.set()
            may_leave.wait(10)
            logger.log(fake_gpu.FakeLogger.Severity.INFO, "kept")
        heard.extend(message for _, message in lines)

    other = threading.Thread(target=listen)

    class Meddling(tuple):  # type: ignore[type-arg]
        """Lets the other thread come while the one that leaves looks through the listeners."""

        def __iter__(self) -> Iterator[object]:
            yield from tuple.__iter__(self)
            if other.ident is None:
                other.start()
                came.wait(0.3)  # in vain where a lock keeps it out

    with library.collect_logs():
        monkeypatch.setattr(library, "listeners", Meddling(library.listeners))
    may_leave.set()
    other.join(10)
    assert heard == ["kept"]


def run_at_once(functions: list[Callable[[], None]]) -> None:
    """Run each in a thread of its own, switching between them as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=function) for function in functions]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
