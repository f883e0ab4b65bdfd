"""``crnn-web`` on this machine, on the loopback address, for what measures or shows it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from crnn_runtime.errors import CrnnError


@dataclass(frozen=True)
class PageServer:
    """A page that is served: its address, and the process that serves it."""

    address: str
    process: subprocess.Popen[str]


@contextmanager
def served(*arguments: str) -> Iterator[PageServer]:
    """``crnn-web`` on a free port.

    Raises:
        CrnnError: it did not start; it has said why.
    """
    command = [sys.executable, "-m", "crnn_serve.web.cli", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said.startswith("Listening on "):
                raise CrnnError("the page could not be served, see above")
            yield PageServer(said.split()[2], process)
        finally:
            process.terminate()
