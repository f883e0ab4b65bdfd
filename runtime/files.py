"""Files that are either whole or not there."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path

from crnn_runtime.errors import CrnnError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary neighbour of ``path``, then rename it into place.

    A reader of ``path`` sees the old file or the new one, never a part; an
    error, a full disk or Ctrl-C leaves the old file untouched.

    Raises:
        CrnnError: the directory is missing or not writable, or the disk is full.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise CrnnError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
