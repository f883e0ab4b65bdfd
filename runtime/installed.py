"""Describes this installation: its extras, and its folder for files that can be made again."""

import os
from pathlib import Path

from crnn_runtime import errors
from crnn_runtime.errors import CrnnError


def cache_folder() -> Path:
    """Returns the folder of exported models and further environments:
    ``$XDG_CACHE_HOME/crnn/bench``.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "crnn" / "bench"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CrnnError(f"cannot make {folder}: {error.strerror}") from error
    return folder


def requirements_of(extra: str) -> list[str]:
    """Returns the packages that an extra of this project asks for.

    Raises:
        CrnnError: this project is not installed.
    """
    if (found := errors.requirements_of(extra)) is None:
        raise CrnnError("crnn is not installed, only copied: pip install .")
    return found
