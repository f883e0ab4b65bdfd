"""Another process that answers questions, one line of JSON each.

What is measured runs in processes of its own: a library that ends its process
(a fault, a lack of memory) costs its own rows and nobody else's, and peers keep
their own Python with their own packages.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from crnn_runtime.errors import CrnnError

QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Idle OpenMP threads that spin steal the processors of what is measured next."""


class ChildError(CrnnError):
    """The other process refused, failed or died; the message says which, in one line."""


class Child:
    """A started process.

    Args:
        command: what to run.
        env: added to this process's environment.
        timeout: seconds that an answer may take.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 600
    ) -> None:
        self._timeout = timeout
        self._buffer = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **QUIET_THREADS, **(env or {})},
            )
        except OSError as error:
            self._errors.close()
            raise ChildError(f"cannot start {command[0]}: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, question: str, /, **arguments: object) -> dict[str, Any]:
        """Put a question and wait for the answer.

        Raises:
            ChildError: it answered with an error, died or took too long.
        """
        line = json.dumps({"ask": question, **arguments}) + "\n"
        try:
            self._stdin.write(line.encode())
            self._stdin.flush()
        except OSError as error:
            raise ChildError(self._how_it_ended()) from error
        answer = json.loads(self._line())
        if "error" in answer:
            raise ChildError(str(answer["error"]))
        return dict(answer)

    def _line(self) -> bytes:
        """The next line it writes."""
        deadline = time.monotonic() + self._timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self._process.kill()
                    raise ChildError(f"no answer within {self._timeout:.0f} s")
                part = os.read(self._stdout.fileno(), 1 << 16)
                if not part:
                    raise ChildError(self._how_it_ended())
                self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _how_it_ended(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        return _how(status, self._errors.read().decode("utf-8", "replace"))

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def output_of(command: Sequence[str]) -> str:
    """Returns everything that a program writes to standard output.

    Raises:
        ChildError: it failed or was killed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildError(_how(done.returncode, done.stderr))
    return done.stdout


def _how(status: int, errors: str) -> str:
    """Says in one line how a process ended."""
    how = f"ended with status {status}"
    if status < 0:
        how = f"was ended by {signal.Signals(-status).name}"
    last = errors.strip().splitlines()
    return f"the process {how}" + (f": {last[-1][:300]}" if last else "")
