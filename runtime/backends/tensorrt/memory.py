"""The memory of a lane: activations, and each tensor on the device and pinned on the host."""

import ctypes
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends.cuda_device import call
from crnn_runtime.errors import CrnnError

ALL_AT_ONCE = 256 * 2**20
"""Bytes up to which a tensor's memory is taken for the profile's largest call at once.

It then never moves. Beyond (a head that gives all log-probabilities of thousands of
characters) it grows with the calls.
"""
_ALIGNMENT = 256  # bytes, of device memory given to TensorRT


class Buffer:
    """Memory that grows to the largest call, on the device or pinned on the host."""

    def __init__(self, *, pinned: bool) -> None:
        self.address = 0
        self.size = 0
        self._allocate = "cudaMallocHost" if pinned else "cudaMalloc"
        self._free = "cudaFreeHost" if pinned else "cudaFree"

    def reserve(self, size: int, most: int) -> None:
        """Make room for ``size`` bytes.

        Args:
            size: that is needed now.
            most: that any call can need; more is not taken.
        """
        if self.address and size <= self.size:
            return
        # Half as much again: a slowly growing series of widths must not move it each time.
        wanted = max(size, min(self.size * 3 // 2, most), 1)
        grown = -(-wanted // _ALIGNMENT) * _ALIGNMENT
        self.free()
        self.address = int(call(self._allocate, grown))
        self.size = grown

    def view(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
        """Pinned memory as an array, without a copy."""
        size = int(np.prod(shape)) * dtype.itemsize
        if size > self.size:
            raise CrnnError(f"TensorRT: {size} bytes are asked of a buffer of {self.size}")
        raw = (ctypes.c_byte * size).from_address(self.address)
        return np.ndarray(shape, dtype, memoryview(raw))

    def free(self) -> None:
        """Give the memory back; if that fails, it can be tried again."""
        if self.address:
            call(self._free, self.address)
            self.address = self.size = 0


class TensorMemory:
    """Memory of one tensor: pinned on the host, and on the device."""

    def __init__(self) -> None:
        self.host = Buffer(pinned=True)
        self.device = Buffer(pinned=False)

    def reserve(self, size: int, most: int) -> None:
        """See `Buffer.reserve`."""
        if most <= ALL_AT_ONCE:
            size = most
        self.host.reserve(size, most)
        self.device.reserve(size, most)


class LaneMemory:
    """All memory of a lane.

    Attributes:
        tensors: by name.
        activations: what TensorRT needs while it computes.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.tensors = {name: TensorMemory() for name in names}
        self.activations = Buffer(pinned=False)

    @property
    def addresses(self) -> tuple[int, ...]:
        """Addresses of all buffers; a caller that set or captured others does so again."""
        return tuple(buffer.address for buffer in self.buffers)

    @property
    def buffers(self) -> list[Buffer]:
        """Every buffer."""
        pairs = [(memory.host, memory.device) for memory in self.tensors.values()]
        return [self.activations, *(buffer for pair in pairs for buffer in pair)]

    def reserve(
        self,
        sizes: Mapping[str, int],
        most: Mapping[str, int],
        activations: int,
        most_activations: int,
    ) -> None:
        """Make room for a call.

        Args:
            sizes: bytes of each tensor in this call.
            most: bytes of each tensor in the largest call.
            activations: bytes that this call needs.
            most_activations: bytes that any call can need.
        """
        for name, memory in self.tensors.items():
            memory.reserve(sizes[name], max(sizes[name], most[name]))
        self.activations.reserve(activations, most_activations)
