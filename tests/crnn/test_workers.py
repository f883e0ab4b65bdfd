"""Workers that are killed, and signals while they start."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import children

from crnn.workers import WorkerDiedError, in_order, interrupts_held


def _square(number: int) -> int:
    match number:
        case 7:
            os.kill(os.getpid(), signal.SIGKILL)
        case 20:
            raise LookupError(number)
        case 30:
            raise MemoryError
        case 40:
            return lambda: None  # type: ignore[return-value]  # cannot be pickled
    return number * number


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_results_come_in_order_until_a_worker_is_killed(method: str) -> None:
    numbers = [5, 6, 9, 8, 5, 7, 5]
    results = in_order(
        _square, iter(numbers), workers=2, what="squares", method=method,
        receive=lambda square: square + 1,
    )  # fmt: skip
    assert [next(results) for _ in range(5)] == [26, 37, 82, 65, 26]
    with pytest.raises(WorkerDiedError, match="SIGKILL"):
        next(results)


@pytest.mark.parametrize(
    ("number", "error"), [(20, LookupError), (30, WorkerDiedError), (40, RuntimeError)]
)
def test_an_error_is_raised_in_its_place(number: int, error: type[Exception]) -> None:
    results = in_order(_square, iter([1, number, 1]), workers=2, what="squares")
    assert next(results) == 1
    with pytest.raises(error):
        next(results)


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken = []

    def endless() -> Iterator[int]:
        for number in itertools.count(100):
            taken.append(number)
            yield number

    results = in_order(_square, endless(), workers=2, what="squares")
    assert next(results) == 10_000
    results.close()
    assert len(taken) < 10


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_no_worker_outlives_a_parent_that_was_killed(method: str) -> None:
    code = f"""
import os, time
from crnn.workers import in_order
if __name__ == "__main__":
    results = in_order(abs, iter(range(-99, 0)), workers=3, what="counts", method={method!r})
    next(results)
    print(os.getpid(), flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        workers = children(parent.pid)
        assert len(workers) >= 3
        parent.kill()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{worker}/stat").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_synthesis_whose_worker_is_killed_says_so_in_a_line(tmp_path: Path) -> None:
    program = "from crnn.cli.synth import main; main()"
    options = ["--preset", "digits", "--fonts", "packages", "--out", str(tmp_path / "D")]
    command = [sys.executable, "-c", program, *options, "--workers", "2", "--count", "100000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("D/images/**/*.jpg")):
            assert time.monotonic() < deadline
            assert run.poll() is None
            time.sleep(0.02)
        os.kill(next(worker for worker in children(run.pid) if _is_worker(worker)), 9)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 2
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("Error: ")


def _is_worker(process: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot block signals")
def test_a_process_started_inside_is_deaf_from_its_first_instruction() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(0.5); print('whole')"]
    with interrupts_held():
        inside = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    outside = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for process in (inside, outside):
        process.send_signal(signal.SIGINT)
    assert inside.communicate(timeout=60) == (b"whole\n", b"")
    assert inside.returncode == 0
    outside.communicate(timeout=60)
    assert outside.returncode != 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot block signals")
def test_the_parent_gets_what_came_meanwhile() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        reached += _interrupted_threads()
    assert reached == ["main", "native"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _interrupted_threads() -> list[str]:
    """Send the signal to this thread, then to one that does not block it."""
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    other = threading.Thread(
        target=lambda: (
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT}),
            signal.pthread_kill(threading.get_ident(), signal.SIGINT),
        )
    )
    other.start()
    other.join()
    return ["main", "native"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_run_stopped_while_its_workers_import_says_one_thing(tmp_path: Path) -> None:
    program = "from crnn.cli.synth import main; main()"
    options = ["--preset", "digits", "--fonts", "packages", "--out", str(tmp_path / "D")]
    command = [sys.executable, "-c", program, *options, "--workers", "2", "--count", "100000"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        deadline = time.monotonic() + 120
        while not any(map(_is_worker, children(run.pid))):  # importing at most
            assert time.monotonic() < deadline
            assert run.poll() is None
            time.sleep(0.002)
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert " of 100000 " in errors
