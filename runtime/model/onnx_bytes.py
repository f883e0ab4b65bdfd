"""ONNX files as bytes: what is known of one without an ONNX library, and without loading it.

An ONNX file is a Protocol Buffers message (https://protobuf.dev/programming-guides/encoding,
fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Here its outer fields are
walked, weights are stepped over, and weights that lie in a file beside it are put in.
"""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crnn_runtime.errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
_GRAPH, _OPSETS, _METADATA = 7, 8, 14
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
_MESSAGES = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Message → number of a field → the message that it holds: the ways to every tensor."""
_LARGEST = 2**31 - 1  # of a Protocol Buffers message

Buffer = bytes | mmap.mmap


class NotOnnxError(ModelError):
    """These bytes are no ONNX model."""


@dataclass(frozen=True)
class Field:
    """A field of a message: its number, its wire type, and where it lies."""

    number: int
    wire: int
    begin: int  # of the tag
    start: int  # of the value
    end: int


def read_metadata(path: Path) -> dict[str, str]:
    """The ``metadata_props`` of an ONNX file; its weights are not read.

    Raises:
        NotOnnxError: it is none, or it is cut off.
        ModelError: it cannot be read.
    """
    with mapped(path) as data:
        return metadata_of(data)


@contextmanager
def mapped(path: Path) -> Iterator[Buffer]:
    """A file's bytes, of which only those are read that are looked at.

    Raises:
        NotOnnxError: it is empty.
        ModelError: it cannot be read.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        if isinstance(error, ModelError):
            raise
        raise NotOnnxError("it is empty") from error  # mmap takes no empty file


def metadata_of(data: Buffer) -> dict[str, str]:
    """The ``metadata_props`` of a model's bytes.

    Raises:
        NotOnnxError: it is no model, or cut off.
    """
    found: dict[str, str] = {}
    numbers = set()
    for field in fields_of(data, 0, len(data)):
        if field.number not in _MODEL_FIELDS:
            raise NotOnnxError(f"it has a field {field.number}, which no model has")
        numbers.add(field.number)
        if field.number == _METADATA:
            key, value = _pair(data, field)
            found[key] = value
    if not {_GRAPH, _OPSETS} <= numbers:
        raise NotOnnxError("it has no graph" if _GRAPH not in numbers else "it has no opset")
    return found


def self_contained(path: Path) -> bytes:
    """A model's bytes, with the weights in them that lie in files beside it.

    PyTorch's exporter writes ``x.onnx`` and ``x.onnx.data`` unless told otherwise.

    Raises:
        NotOnnxError: it is no ONNX model, or cut off.
        ModelError: a file with weights is not beside it, or too short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    try:
        metadata_of(data)
    except NotOnnxError as error:
        raise NotOnnxError(f"{path} is not a whole ONNX model: {error}") from error
    if not any(True for _ in _external(data, Field(0, _BYTES, 0, 0, len(data)), "model")):
        return data
    files: dict[str, bytes] = {}
    whole = b"".join(_filled(data, Field(0, _BYTES, 0, 0, len(data)), "model", path, files))
    if len(whole) > _LARGEST:
        raise ModelError(f"{path} and its weights are {len(whole):,} bytes: 2 GiB can be read")
    return whole


def fields_of(data: Buffer, start: int, end: int) -> Iterator[Field]:
    """The fields of a message that lies in these bytes.

    Raises:
        NotOnnxError: there is none, or it is cut off.
    """
    at = start
    while at < end:
        begin = at
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        value = at
        if wire == _VARINT:
            _, at = _varint(data, at, end)
        elif wire == _BYTES:
            size, value = _varint(data, at, end)
            at = value + size
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise NotOnnxError("it is no ONNX model")
        if number == 0:
            raise NotOnnxError("it is no ONNX model")
        if at > end:
            raise NotOnnxError(f"it is cut off after {len(data):,} bytes: copy it again")
        yield Field(number, wire, begin, value, at)


def numbers_of(data: Buffer, field: Field) -> list[int]:
    """The values of a repeated number, packed together or one by one."""
    if field.wire == _VARINT:
        return [_varint(data, field.start, field.end)[0]]
    found, at = [], field.start
    while at < field.end:
        number, at = _varint(data, at, field.end)
        found.append(number)
    return found


def _varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """A number and where it ends."""
    result = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise NotOnnxError("it is no ONNX model")
    raise NotOnnxError(f"it is cut off after {len(data):,} bytes: copy it again")


def _written(number: int) -> bytes:
    """A number as a varint."""
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _pair(data: Buffer, field: Field) -> tuple[str, str]:
    """A StringStringEntryProto."""
    found = {
        part.number: bytes(data[part.start : part.end]).decode("utf-8", "replace")
        for part in fields_of(data, field.start, field.end)
    }
    return found.get(1, ""), found.get(2, "")


def _external(data: Buffer, field: Field, message: str) -> Iterator[dict[str, str]]:
    """Yields the entries of every tensor whose weights lie in another file."""
    if message == "tensor":
        if found := _location(data, field):
            yield found
        return
    for part in fields_of(data, field.start, field.end):
        if part.wire == _BYTES and (inner := _MESSAGES[message].get(part.number)):
            yield from _external(data, part, inner)


def _location(data: Buffer, tensor: Field) -> dict[str, str]:
    """``location``, ``offset``, ``length`` of a tensor's external data; empty if it has none."""
    found: dict[str, str] = {}
    is_external = False
    for part in fields_of(data, tensor.start, tensor.end):
        if part.number == _EXTERNAL_DATA:
            key, value = _pair(data, part)
            found[key] = value
        elif part.number == _DATA_LOCATION:
            is_external = _varint(data, part.start, part.end)[0] == 1
    return found if is_external else {}


def _filled(
    data: bytes, field: Field, message: str, path: Path, files: dict[str, bytes]
) -> Iterator[bytes]:
    """A message's bytes, every tensor's weights in it."""
    if message == "tensor" and (where := _location(data, field)):
        for part in fields_of(data, field.start, field.end):
            if part.number not in (_EXTERNAL_DATA, _DATA_LOCATION):
                yield data[part.begin : part.end]
        weights = _weights(path, where, files)
        yield _written(_RAW_DATA << 3 | _BYTES) + _written(len(weights))
        yield weights
        return
    for part in fields_of(data, field.start, field.end):
        inner = _MESSAGES[message].get(part.number) if part.wire == _BYTES else None
        if inner is None:
            yield data[part.begin : part.end]
        else:
            content = b"".join(_filled(data, part, inner, path, files))
            yield _written(part.number << 3 | _BYTES) + _written(len(content))
            yield content


def _weights(path: Path, where: dict[str, str], files: dict[str, bytes]) -> bytes:
    """A tensor's weights out of the file beside the model."""
    name = where.get("location", "")
    if name not in files:
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(f"{path} keeps weights in {name!r}, which is not beside it")
        try:
            files[name] = (path.parent / name).read_bytes()
        except OSError as error:
            raise ModelError(
                f"{path} keeps its weights in {name}, which cannot be read beside it "
                f"({error.strerror}): copy both files together"
            ) from error
    content = files[name]
    try:
        start = int(where.get("offset") or 0)
        end = start + int(where["length"]) if where.get("length") else len(content)
    except ValueError as error:
        raise ModelError(f"{path} does not say where in {name} its weights are") from error
    if not 0 <= start <= end <= len(content):
        raise ModelError(
            f"{path} keeps its weights in {name}, which has {len(content):,} bytes of at least "
            f"{end:,}: it is cut off or belongs to another model"
        )
    return content[start:end]
