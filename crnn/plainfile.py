"""PyTorch files of tensors and plain values only: read without running code, written whole."""

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from crnn_runtime.errors import ModelError
from crnn_runtime.files import write_atomically


def write_plain(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file whole or not at all, and only one that `read_plain` can read.

    Raises:
        CrnnError: it cannot be written.
        TypeError: something in it is neither tensor nor plain value.
    """
    # In memory first: torch hides a full disk behind errors of its own.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    buffer.seek(0)
    try:
        torch.load(buffer, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TypeError(f"not loadable as plain data: {_first_line(error)}") from error
    write_atomically(path, lambda part: part.write_bytes(buffer.getbuffer()))


def read_plain(path: Path) -> dict[str, Any]:
    """Read a file of tensors and plain values, without running what it may hold.

    Raises:
        ModelError: missing, empty, damaged, holding code, or no dictionary.
    """
    if not path.is_file():
        raise ModelError(f"no checkpoint file {path}")
    try:
        with path.open("rb") as file:
            beginning = file.read(2)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if not beginning:
        raise ModelError(f"{path} is empty: copy or train the checkpoint again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of, it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever foreign bytes make of the unpickler
        raise ModelError(_why_unreadable(path, beginning, error)) from error
    if not isinstance(content, dict):
        raise ModelError(
            f"{path} is not a checkpoint: it holds a {type(content).__name__}, not a dictionary"
        )
    return content


def _why_unreadable(path: Path, beginning: bytes, error: Exception) -> str:
    if found := re.search(r"GLOBAL (\S+)", str(error)):
        return (
            f"{path} is refused: it holds {found[1]}, which could run code; "
            "save only tensors and plain values, such as model.state_dict()"
        )
    if beginning in (b"PK", b"\x80\x02"):  # a zip, or a pickle as PyTorch writes it
        return f"{path} is damaged or truncated ({_first_line(error)}): copy it again"
    return f"{path} is not a PyTorch checkpoint"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
