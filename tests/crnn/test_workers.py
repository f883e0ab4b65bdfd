"""Ctrl-C while workers start."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from crnn.workers import interrupts_held


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


def _spawned(parent: int) -> bool:
    """True once a worker of `multiprocessing` is there, importing at most."""
    for entry in Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(stat[1]) == parent and b"spawn_main" in (entry / "cmdline").read_bytes():
                return True
        except (OSError, IndexError):
            continue
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_run_stopped_while_its_workers_import_says_one_thing(tmp_path: Path) -> None:
    program = "from crnn.cli.synth import main; main()"
    options = ["--preset", "digits", "--fonts", "packages", "--out", str(tmp_path / "D")]
    command = [sys.executable, "-c", program, *options, "--workers", "2", "--count", "100000"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        deadline = time.monotonic() + 120
        while not _spawned(run.pid):
            assert time.monotonic() < deadline
            assert run.poll() is None
            time.sleep(0.002)
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert "of 100000 lines are in" in errors
