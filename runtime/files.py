"""Reading text, and writing files that are either whole or not there."""

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crnn_runtime.errors import CrnnError


def read_text(path: str | Path, what: str) -> str:
    """The text of a UTF-8 file, without a byte-order mark, line breaks as they are.

    Args:
        path: of the file.
        what: it is, for messages: ``lexicon``.

    Raises:
        CrnnError: the file cannot be read or is not UTF-8.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CrnnError(f"cannot read {what} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CrnnError(
            f"{what} {path} is not UTF-8 (byte {error.start}): save it as UTF-8"
        ) from error


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
        with suppress(OSError):  # a read-only mount refuses even to remove what is not there
            part.unlink(missing_ok=True)
