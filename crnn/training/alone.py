"""One run to a folder: two that save in turns leave neither's reader."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from crnn_runtime.errors import CrnnError


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """A run's folder, which no other process trains in meanwhile: the lock ends with the process.

    Raises:
        CrnnError: another one does.
    """
    place = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CrnnError(
                    f"another process trains in {directory}: wait for it, or give another "
                    "--directory"
                ) from error
        yield
    finally:
        os.close(place)
