"""A real Triton Inference Server on this machine, on the loopback address.

    python -m crnn_serve.triton.local_server models

The package ``nvidia-pytriton`` carries the server with its Python backend. It gets an
environment of its own, made once and kept in the user's cache; the runtime that it
serves is the one that is imported here.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import click

import crnn_runtime
from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError
from crnn_runtime.installed import cache_folder, requirements_of
from crnn_serve.process import resident

EXTRA = "triton-server"
_NEEDS = ("click >= 8.1", "numpy >= 1.26", "opencv-python-headless >= 4.8")
_START_SECONDS = 60
# The server lays the JSON of a request on the stack of the thread that takes it, and dies
# without a word of one above 5 MB where stacks have the usual 8. Only what is used costs memory.
_STACK_KILOBYTES = 1 << 20
_WITH_STACK = ("sh", "-c", f'ulimit -s {_STACK_KILOBYTES}; exec "$@"', "tritonserver")
_STOP_SECONDS = 40
# The server's Python backend loads the interpreter as a library.
_SUITABLE = (
    "import ctypes, ensurepip, sys, venv; v = sys.version_info; assert v[:2] >= (3, 11); "
    "ctypes.CDLL(f'libpython{v[0]}.{v[1]}.so.1.0'); print(f'{v[0]}.{v[1]}')"
)


@dataclasses.dataclass(frozen=True)
class Installation:
    """The paths of the server and its parts.

    Attributes:
        packages: folder ``site-packages`` of the environment.
        backends: folder of the server's backends.
        python: major and minor version.
        base: the interpreter that the environment was made with.
    """

    packages: Path
    backends: Path
    python: str
    base: Path

    @property
    def program(self) -> Path:
        """The server."""
        return self.packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"


def install() -> Installation:
    """The server's environment, made at the first call, which loads some 200 MB.

    Raises:
        CrnnError: there is no suitable Python, or pip cannot install it.
    """
    base, python = _suitable_python()
    if not (extra := requirements_of(EXTRA)):
        raise CrnnError(f"this installation does not know the extra {EXTRA}: install crnn again")
    wanted = [*extra, *_NEEDS]
    key = hashlib.sha256("\n".join((str(base), python, *wanted)).encode()).hexdigest()[:12]
    place = cache_folder().parent / f"triton-server-{key}"
    packages = place / "lib" / f"python{python}" / "site-packages"
    found = Installation(packages, place / "backends", python, base)
    with place.with_name(place.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may want it at once
        if not (place / ".ready").exists():
            shutil.rmtree(place, ignore_errors=True)
            _make(place, found, wanted)
            (place / ".ready").touch()
    return found


def _make(place: Path, found: Installation, wanted: Sequence[str]) -> None:
    pip = [str(place / "bin" / "python3"), "-m", "pip", "install", "--quiet", *wanted]
    for command in ([str(found.base), "-m", "venv", str(place)], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise CrnnError(f"cannot install Triton Inference Server: {last}")
    server = found.packages / "pytriton" / "tritonserver"
    stub = "triton_python_backend_stub"
    source = server / "python_backend_stubs" / found.python / stub
    if not source.is_file():
        raise CrnnError(f"nvidia-pytriton has no backend for Python {found.python}")
    shutil.copytree(server / "backends", found.backends)
    shutil.copy2(source, found.backends / "python" / stub)


def _suitable_python() -> tuple[Path, str]:
    """An interpreter that the Python backend can load, and its version."""
    reasons = []
    for candidate in dict.fromkeys((Path("/usr/bin/python3"), Path(sys.executable))):
        if candidate.exists():
            done = subprocess.run(
                [candidate, "-c", _SUITABLE], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                return candidate, done.stdout.strip()
            reasons.append(f"{candidate}: {done.stderr.strip().splitlines()[-1]}")
    raise CrnnError(
        "Triton's Python backend needs a Python with venv and a shared library (Debian: apt-get "
        f"install python3-venv libpython3.11); {'; '.join(reasons) or 'there is none'}"
    )


def _overlay(folder: Path, found: Installation, *, with_runtime: bool) -> Path:
    """An environment on top of the server's: its packages and the runtime in use here."""
    packages = folder / "lib" / f"python{found.python}" / "site-packages"
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").symlink_to(found.base)
    (folder / "pyvenv.cfg").write_text(
        f"home = {found.base.parent}\ninclude-system-site-packages = false\n"
    )
    (packages / "server.pth").write_text(f"{found.packages}\n")
    if with_runtime:
        (packages / "crnn_runtime").symlink_to(Path(crnn_runtime.__path__[0]).resolve())
    return folder / "bin"


class TritonServer:
    """A server in a process of its own, HTTP on a free port of 127.0.0.1.

    Args:
        repository: its models.
        options: more of the program's options.
        port: None takes a free one.
        ready: wait until the models are loaded; an error if they cannot be.
        with_runtime: False for a Python without `crnn_runtime`.

    Raises:
        CrnnError: it ends instead of getting ready; the message is the end of its log.
    """

    def __init__(
        self,
        repository: Path,
        *options: str,
        port: int | None = None,
        ready: bool = True,
        with_runtime: bool = True,
    ) -> None:
        found = install()
        self._folder = tempfile.TemporaryDirectory()
        scratch = Path(self._folder.name)
        python = _overlay(scratch / "env", found, with_runtime=with_runtime)
        self._log = scratch / "log"
        self.port = port or _free_port()
        environment = {
            **os.environ,
            "PATH": f"{python}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(found.packages / "nvidia_pytriton.libs"),
        }
        environment.pop("PYTHONHOME", None)
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *_WITH_STACK,
                    str(found.program),
                    f"--model-repository={repository}",
                    f"--backend-directory={found.backends}",
                    "--http-address=127.0.0.1",
                    f"--http-port={self.port}",
                    "--allow-grpc=false",
                    "--allow-metrics=false",
                    *options,
                ],
                env=environment,
                stdout=log,
                stderr=log,
            )
        if ready:
            self._wait_until_ready()

    @property
    def log(self) -> str:
        """All that it has written so far."""
        return self._log.read_text("utf-8", "replace")

    @property
    def url(self) -> str:
        """The address that it listens at."""
        return f"http://127.0.0.1:{self.port}"

    def pids(self) -> list[int]:
        """Process ids of the server and of its instances."""
        children = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid:
                    children.append(int(entry.name))
        return [self.process.pid, *children]

    def memory(self) -> int:
        """Bytes that the server and its instances hold, shared ones counted once (PSS)."""
        return sum(resident(pid) for pid in self.pids())

    def processor_seconds(self) -> float:
        """That the server and its instances have computed for."""
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it as a person or a container does, and give its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def is_ready(self) -> bool:
        """Whether all its models are loaded."""
        try:
            with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                lines = [line for line in self.log.splitlines() if not line.startswith(("|", "+"))]
                self._folder.cleanup()
                raise CrnnError("Triton Inference Server does not start:\n" + "\n".join(lines))
            time.sleep(0.1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(
    model: str, *, options: Sequence[str] = (), **serving: object
) -> Iterator[tuple[TritonServer, str]]:
    """A server of one model, exported for it, and the model's name there."""
    from crnn_serve.triton import Serving, write_model  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        wanted = Serving(**serving)  # type: ignore[arg-type]
        (written,) = write_model(model, Path(folder) / "repository", wanted)
        with TritonServer(Path(folder) / "repository", *options) as server:
            yield server, written.folder.parent.name


@click.command(cls=Command)
@click.argument("repository", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
def main(repository: Path, port: int) -> None:
    """Serve the models of REPOSITORY to this machine, until Ctrl-C.

    The first time, it installs the server in an environment of its own in the cache.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise CrnnError(f"something listens on port {port} already: choose another with --port")
    names = ", ".join(sorted(path.parent.name for path in repository.glob("*/config.pbtxt")))
    if not names:
        raise CrnnError(f"{repository} holds no model: crnn-export --to triton writes one there")
    with TritonServer(repository, port=port) as server:
        click.echo(f"Serving {names} at {server.url}, for this machine alone; Ctrl-C ends it")
        if (status := server.process.wait()) != 0:
            lines = server.log.strip().splitlines() or ["no message"]
            raise CrnnError(f"the server ended with status {status}: {lines[-1]}")


if __name__ == "__main__":
    main()
