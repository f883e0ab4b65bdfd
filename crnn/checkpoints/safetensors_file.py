"""Read ``.safetensors``: a length, a header in JSON, and the bytes of all tensors.

The format: https://github.com/huggingface/safetensors#format. It cannot hold code.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crnn_runtime.errors import ModelError

_LENGTH = 8
"""Bytes of the header's length, little endian."""
_MAX_HEADER = 100_000_000
"""The format's own limit in bytes."""
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors by name; numbers of any width become float32.

    Raises:
        ModelError: the file cannot be read, is damaged or of another kind.
    """
    if not path.is_file():
        raise ModelError(f"no checkpoint file {path}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    length = int.from_bytes(content[:_LENGTH], "little")
    if len(content) < _LENGTH or not 0 < length <= _MAX_HEADER:
        raise ModelError(f"{path} is no safetensors file, or it is empty")
    begin = _LENGTH + length
    if begin > len(content):
        raise ModelError(f"{path} is truncated: its header ends beyond the file; copy it again")
    try:
        header = json.loads(content[_LENGTH:begin])
    except ValueError as error:
        raise ModelError(f"{path} is no safetensors file: its header is not JSON") from error
    if not isinstance(header, dict):
        raise ModelError(f"{path} is no safetensors file: its header is no JSON object")
    header.pop("__metadata__", None)
    data = memoryview(bytearray(content[begin:]))
    return {name: _tensor(path, name, entry, data) for name, entry in header.items()}


def _tensor(path: Path, name: str, entry: Any, data: memoryview) -> Tensor:  # noqa: ANN401
    try:
        dtype, shape = _DTYPES[entry["dtype"]], [int(size) for size in entry["shape"]]
        first, last = (int(offset) for offset in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged: its header does not describe {name!r}") from error
    size = torch.Size(shape).numel() if min(shape, default=1) >= 0 else -1
    if not 0 <= first <= last <= len(data):
        raise ModelError(f"{path} is truncated: {name!r} ends beyond the file; copy it again")
    if last - first != size * dtype.itemsize:
        raise ModelError(f"{path} is damaged: {name!r} has not the bytes of its shape {shape}")
    if not size:
        return torch.zeros(shape)
    tensor = torch.frombuffer(data[first:last], dtype=dtype).reshape(shape)
    return tensor.float() if dtype.is_floating_point else tensor.clone()
