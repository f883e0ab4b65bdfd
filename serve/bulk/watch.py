"""Ray's own processes on this machine, watched: without one of them nothing goes on.

When its raylet is killed, as by the out-of-memory killer, Ray ends the whole program some
seconds later, with the status that stands here for pictures that could not be read.
"""

import os
import selectors
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from crnn_runtime.errors import CrnnError

_NEEDED = ("raylet", "gcs_server")


@contextmanager
def watched() -> Iterator[None]:
    """A block that needs Ray's processes, children of this one, in the main thread.

    Raises:
        CrnnError: one of them ended meanwhile.
    """
    ended: list[str] = []

    def give_up(_: int, __: FrameType | None) -> NoReturn:
        raise CrnnError(
            f"Ray's process {ended[0]} was ended (want of memory?), and Ray ends with it"
        )

    with selectors.DefaultSelector() as selector:
        for pid, name in _children():
            if name in _NEEDED:
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, name)
        stop, stopper = os.pipe()
        selector.register(stop, selectors.EVENT_READ, None)

        def watch() -> None:
            ready = [key.data for key, _ in selector.select()]
            if None not in ready:
                ended.extend(ready)
                os.kill(os.getpid(), signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, give_up)
        thread = threading.Thread(target=watch, name="crnn-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(stopper)
            thread.join()
            signal.signal(signal.SIGUSR1, before)
            for key in list(selector.get_map().values()):
                os.close(key.fd)


def _children() -> Iterator[tuple[int, str]]:
    """Number and name of this process's children."""
    for task in Path("/proc/self/task").iterdir():
        for child in _text(task / "children").split():
            if name := _text(Path(f"/proc/{child}/comm")).strip():
                yield int(child), name


def _text(path: Path) -> str:
    """A file of /proc; empty if its thread or process has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""
