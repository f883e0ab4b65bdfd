"""Tells the kind of a model file by its content. No other module does that.

A few bytes are read and nothing is loaded, so that every command can ask first and say in
one line what a file is for.
"""

import shlex
import struct
import zipfile
from pathlib import Path
from typing import Literal

from crnn_runtime.errors import ModelError
from crnn_runtime.model.card import METADATA_KEY
from crnn_runtime.model.engine_file import parse_header
from crnn_runtime.model.onnx_bytes import NotOnnxError, read_metadata
from crnn_runtime.readers import find_model, reader_names
from crnn_runtime.readers.known import KNOWN

Kind = Literal["onnx", "engine", "checkpoint", "safetensors"]
"""An ONNX graph, a TensorRT plan, weights as PyTorch or as safetensors stores them."""
NAMES: dict[Kind, str] = {
    "onnx": "an ONNX file",
    "engine": "a TensorRT engine",
    "checkpoint": "a PyTorch checkpoint",
    "safetensors": "a safetensors checkpoint",
}
SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "onnx": (".onnx",),
    "engine": (".trt", ".engine", ".plan"),
    "checkpoint": (".pth", ".pt", ".tar", ".ckpt"),
    "safetensors": (".safetensors",),
}
"""The suffixes of each kind, for files that are written and files that are not there."""

_HEAD = 64  # bytes
_PICKLE = b"\x80\x02"  # what torch.save wrote before its files were zip archives
_NOT_MODELS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: git lfs pull brings it",
    b"<!doctype html": "a web page, not the file itself: download it again",
    b"<html": "a web page, not the file itself: download it again",
    b"\x1f\x8b": "packed with gzip: unpack it first",
}


def kind_of(path: str | Path) -> Kind:
    """The kind of a file.

    Raises:
        ModelError: it is missing, empty, cut off or none of them.
    """
    path = Path(path)
    head = _head(path)
    for beginning, what in _NOT_MODELS.items():
        if head.lower().startswith(beginning):
            raise ModelError(f"{path} is {what}")
    if parse_header(head) is not None:
        return "engine"
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    if head.startswith(_PICKLE):
        return "checkpoint"
    if _is_safetensors(head, path.stat().st_size):
        return "safetensors"
    try:
        read_metadata(path)
    except NotOnnxError as error:
        if path.suffix.lower() in SUFFIXES["onnx"]:
            raise ModelError(f"{path} is not a whole ONNX model: {error}") from error
        raise ModelError(f"{path} is no model file: neither {', '.join(NAMES.values())}") from error
    return "onnx"


def is_foreign(path: Path) -> bool:
    """Whether an ONNX file was made elsewhere: it has no model card inside.

    Raises:
        ModelError: it is no ONNX file.
    """
    return METADATA_KEY not in read_metadata(path)


def demand(path: Path, *kinds: Kind) -> Kind:
    """The kind of a file, which must be one of some; of any if none is named.

    Raises:
        ModelError: it is of another kind: the message says what makes one of these of it.
    """
    kind = kind_of(path)
    if kind in kinds or not kinds:
        return kind
    wanted = " or ".join(NAMES[each].partition(" ")[2] for each in kinds)
    if kind in ("checkpoint", "safetensors"):
        hint = f": crnn-export {shlex.quote(str(path))} makes a model of it"
    else:
        hint = ""
    raise ModelError(f"{path} is {NAMES[kind]}, not {_article(wanted)}{hint}")


def looks_like(path: Path, kind: Kind) -> bool:
    """Whether a file is of a kind, or damaged and called as one; nothing is said of it."""
    if has_suffix(path, kind):
        return True
    try:
        return kind_of(path) == kind
    except ModelError:
        return False


def find_kind(model: str | Path, *kinds: Kind) -> tuple[Path, Kind]:
    """A model given by path or by a reader's name → its path and kind.

    Args:
        model: as the user gave it.
        kinds: that are accepted.

    Raises:
        ModelError: there is no such file, or it is of another kind.
        MissingDependencyError: the reader of that name is not installed.
    """
    path = find_model(model)
    if not path.exists():
        names = ", ".join((*reader_names(), *KNOWN))
        raise ModelError(f"{model}: no such file, nor the name of a reader ({names})")
    return path, demand(path, *kinds)


def has_suffix(name: str | Path, *kinds: Kind) -> bool:
    """Whether a name ends as those of files of some kinds do."""
    return Path(name).suffix.lower() in {suffix for kind in kinds for suffix in SUFFIXES[kind]}


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder, not a model file")
        if path.exists() and not path.is_file():
            raise ModelError(f"{path} is a pipe or device, not a model file")
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise ModelError(f"{path}: {reason}") from error
    if not head:
        raise ModelError(f"{path} is empty: copy it again")
    return head


def _kind_of_zip(path: Path) -> Kind:
    """PyTorch's archives hold ``<name>/data.pkl``."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/data.pkl") for name in archive.namelist()):
                return "checkpoint"
    except (zipfile.BadZipFile, OSError) as error:
        if has_suffix(path, "checkpoint"):
            raise ModelError(f"{path} is damaged or truncated: copy it again") from error
        raise ModelError(f"{path} is a damaged zip archive, not a model file") from error
    raise ModelError(f"{path} is a zip archive, not a model file: unpack it first")


def _is_safetensors(head: bytes, size: int) -> bool:
    """Eight bytes of the header's size, then JSON."""
    return len(head) > 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiouAEIOU' else 'a'} {words}"
