"""``crnn-bulk`` as a user runs it: on Ray, with workers that die and runs that are stopped."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="the extra bulk is not installed")

import pyarrow.parquet as pq
from bulk_lines import DISTINCT, MODEL, expected, write_lines
from bulk_runs import read_all

from crnn_serve.bulk.model import Reader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),  # one at a time: each starts a Ray of its own
]
LINES = 2000
PART = 100
PATIENCE = 180.0


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_lines(tmp_path_factory.mktemp("lines"), LINES)


def command(lines: list[Path], out: Path, *more: str) -> list[str]:
    folder = str(lines[0].parents[1])
    options = ["--model", MODEL, "--num-workers", "2", "--lines-per-part", str(PART)]
    return [sys.executable, "-m", "crnn_serve.bulk.cli", folder, str(out), *options, *more]


@pytest.fixture(autouse=True)
def own_scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Gives a test a scratch folder of its own: that of a killed run is removed."""
    with tempfile.TemporaryDirectory(prefix="crnn-", dir="/tmp", ignore_cleanup_errors=True) as own:
        monkeypatch.setenv("TMPDIR", own)
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # a foreign cluster, never joined
        yield


@contextmanager
def started(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group, as a terminal makes one
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def parts(out: Path) -> list[Path]:
    return sorted(out.glob("part-*.parquet"))


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        ended = process is not None and process.poll() is not None
        assert not ended, process and process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def descendants(pid: int) -> dict[int, str]:
    """Processes below one → what they call themselves."""
    found = {}
    for child in Path(f"/proc/{pid}/task").glob("*/children"):
        for each in child.read_text().split():
            found[int(each)] = Path(f"/proc/{each}/cmdline").read_text().replace("\0", " ")
            found |= descendants(int(each))
    return found


def listening(pids: set[int]) -> set[str]:
    """Addresses, in hexadecimal, that processes listen at."""
    sockets = {
        str(link.readlink())
        for pid in pids
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    }
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {
        row[1].partition(":")[0]
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
    }


def read_the_rest(reader: Reader, lines: list[Path], out: Path, lines_per_part: int = PART) -> int:
    """Go on in this process, which is not another start of Ray; parts that were missing."""
    return len(read_all(reader, [str(lines[0].parents[1])], str(out), lines_per_part))


def check_complete(lines: list[Path], out: Path) -> None:
    """Every picture once, in its place, with the text that a `Recognizer` reads."""
    rows = [row for part in parts(out) for row in pq.read_table(part).to_pylist()]
    assert [row["path"] for row in rows] == [str(path) for path in lines]
    for number, row in enumerate(rows):
        line = expected()[number % DISTINCT]
        assert (row["text"], row["error"]) == (line.text, None)
        assert row["confidence"] == pytest.approx(line.confidence, abs=1e-4)
        assert "".join(char["char"] for char in row["chars"]) == line.text
    assert not list(out.glob(".*")), "half-written files are left"


PROGRESS = r"part \d+ of 20: [\d,]+ lines, \d+/s, 0 unread"
"""The progress of a run; even a slow machine has time to say it."""


def test_a_worker_that_is_killed_costs_nothing(lines: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(command(lines, out)) as process:
        wait_for(lambda: len(parts(out)) >= 2, process)
        running = descendants(process.pid)
        workers = [pid for pid, name in running.items() if "MapWorker" in name]
        assert len(workers) == 2, running
        os.kill(workers[0], signal.SIGKILL)
        assert len(parts(out)) < LINES // PART
        addresses = listening({process.pid, *running} - {workers[0]})
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    assert stdout.startswith(f"2,000 lines in {out}, 0 could not be read")
    said = [line for line in stderr.splitlines() if not re.fullmatch(PROGRESS, line)]
    assert said == ["20 parts"]  # and nothing of Ray's
    check_complete(lines, out)
    assert addresses
    assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}  # the loopback


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_rays_own_processes_that_are_killed_are_one_line(
    lines: list[Path], tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    with started(command(lines, out)) as process:
        wait_for(lambda: bool(parts(out)), process)
        (killed,) = [pid for pid, each in descendants(process.pid).items() if name in each]
        os.kill(killed, signal.SIGKILL)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, stderr
    told = stderr.splitlines()[-1]
    assert name in told
    assert "the same command" in told


def test_a_part_that_kills_its_workers_is_named_and_read_later(
    reader: Reader, lines: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    whole = command(lines, out, "--num-workers", "1", "--lines-per-part", str(LINES))
    killed: set[int] = set()
    begun: set[Path] = set()
    with started(whole) as process:
        for _ in range(4):
            wait_for(lambda: not begun.issuperset(out.glob(".part-*")), process)
            begun.update(out.glob(".part-*"))
            names = descendants(process.pid).items()
            (worker,) = {pid for pid, name in names if "MapWorker" in name} - killed
            killed.add(worker)
            os.kill(worker, signal.SIGKILL)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "1 of 1 parts" in stderr
    assert not parts(out)
    assert read_the_rest(reader, lines, out, lines_per_part=LINES) == 1
    check_complete(lines, out)


def test_a_cluster_that_runs_already_is_joined(lines: list[Path], tmp_path: Path) -> None:
    ray = [str(Path(sys.executable).parent / "ray")]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    head = ["start", "--head", "--port", address.partition(":")[2], "--num-cpus", "2"]
    quiet = ["--node-ip-address", "127.0.0.1", "--include-dashboard", "false"]
    quiet += ["--temp-dir", os.environ["TMPDIR"], "--disable-usage-stats", "--block"]
    with started([*ray, *head, *quiet]) as cluster:
        join = command(lines, tmp_path / "out", "--address", address)
        wait_for(lambda: listens(address), cluster)
        done = subprocess.run(join, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        check_complete(lines, tmp_path / "out")
        assert listens(address), "the cluster was ended with the run"
        cluster.terminate()
        cluster.wait(PATIENCE)
    again = subprocess.run(
        command(lines, tmp_path / "later", "--address", address),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert again.returncode == 2
    reason = f"Error: cannot reach Ray at {address}: Connection refused"
    assert again.stderr.splitlines()[-1].startswith(reason)


def listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_a_run_that_is_stopped_goes_on_where_it_was(
    reader: Reader, lines: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with started(command(lines, out)) as process:
        wait_for(lambda: len(parts(out)) >= 2, process)
        workers = [p for p, name in descendants(process.pid).items() if "MapWorker" in name]
        process.kill()
        process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    first = {part: part.stat().st_mtime_ns for part in parts(out)}
    assert 2 <= len(first) < LINES // PART
    with started(command(lines, out)) as process:
        wait_for(lambda: len(parts(out)) > len(first), process)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    second = {part: part.stat().st_mtime_ns for part in parts(out)}
    assert f"{len(first)} of them written before" in stderr
    assert stderr.splitlines()[-1] == (
        f"Interrupted: {len(second)} of 20 parts are written, the same command reads the others"
    )
    assert read_the_rest(reader, lines, out) == LINES // PART - len(second)
    last = {part: part.stat().st_mtime_ns for part in parts(out)}
    assert first.items() <= second.items() <= last.items(), "a part was read twice"
    check_complete(lines, out)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_is_told_in_one_line(
    reader: Reader, lines: list[Path], small_disk: Path
) -> None:
    out = small_disk / "out"
    done = subprocess.run(command(lines, out), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert re.search(r"\nError: cannot write .*No space left on device", done.stderr)
    assert "Traceback" not in done.stderr
    written = {part: part.stat().st_mtime_ns for part in parts(out)}
    assert written
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert read_the_rest(reader, lines, out) == LINES // PART - len(written)
    assert written.items() <= {part: part.stat().st_mtime_ns for part in parts(out)}.items()
    check_complete(lines, out)


@pytest.mark.slow
def test_the_page_of_the_reference_reads_from_python(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs" / "api" / "serve.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "lines").symlink_to(root / "examples" / "lines")
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == str(len(list((root / "examples" / "lines").glob("*.png"))))
