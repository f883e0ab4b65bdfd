"""One stream of a TensorRT engine: its contexts, its memory, its CUDA graphs.

An execution context is not thread-safe, so a lane serves one call at a time;
`crnn_runtime.backends.tensorrt_backend` keeps a few.
"""

import ctypes
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import INPUT_NAME
from crnn_runtime.backends.cuda_device import call, cuda
from crnn_runtime.backends.tensorrt_library import collect_logs, last_error
from crnn_runtime.errors import CrnnError

MAX_SHAPES = 48
"""Shapes whose context and graph a lane keeps: all width buckets up to 2048 at one batch
size, and the remainders of a few."""

_ALIGNMENT = 256  # bytes, of device memory given to TensorRT
_DTYPES: dict[str, type[np.generic]] = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT32": np.int32,
    "INT64": np.int64,
}


@dataclass(frozen=True)
class LoadedEngine:
    """A deserialised engine and what its lanes need of it."""

    trt: Any
    engine: Any
    device: int
    own_graphs: bool
    """Whether lanes capture CUDA graphs; TensorRT for RTX captures them by itself."""


class Buffer:
    """Memory that grows to the largest call, on the device or pinned on the host."""

    def __init__(self, *, pinned: bool) -> None:
        self.address = 0
        self.size = 0
        self._allocate = "cudaMallocHost" if pinned else "cudaMalloc"
        self._free = "cudaFreeHost" if pinned else "cudaFree"

    def reserve(self, size: int) -> bool:
        """Make room for ``size`` bytes; True when the address has changed."""
        if size <= self.size:
            return False
        # Half as much again: a slowly growing series of widths must not move it each time.
        grown = -(-max(size, self.size * 3 // 2, 1) // _ALIGNMENT) * _ALIGNMENT
        self.free()
        self.address = int(call(self._allocate, grown))
        self.size = grown
        return True

    def view(self, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
        """Pinned memory as an array, without a copy."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = (ctypes.c_byte * size).from_address(self.address)
        return np.ndarray(shape, dtype, memoryview(raw))

    def free(self) -> None:
        """Give the memory back."""
        if self.address:
            address, self.address, self.size = self.address, 0, 0
            call(self._free, address)


@dataclass
class _Shape:
    """A context set to one shape, and the graph that replays it."""

    context: Any
    outputs: dict[str, tuple[tuple[int, ...], type[np.generic]]]
    activations: int
    calls: int = 0
    graph: Any = None


@dataclass
class _Memory:
    """Buffers of one tensor: pinned on the host, and on the device."""

    host: Buffer = field(default_factory=lambda: Buffer(pinned=True))
    device: Buffer = field(default_factory=lambda: Buffer(pinned=False))

    def reserve(self, size: int) -> bool:
        # Both, whatever the first says.
        return any([self.host.reserve(size), self.device.reserve(size)])

    def free(self) -> None:
        self.host.free()
        self.device.free()


class Lane:
    """Runs batches one after the other on a stream of its own.

    TensorRT wants one context per captured graph; all contexts of a lane share
    its memory, since only one runs at a time.

    Args:
        loaded: the engine.
        outputs: names of the outputs to bring back.
    """

    def __init__(self, loaded: LoadedEngine, outputs: tuple[str, ...]) -> None:
        self._loaded = loaded
        self._outputs = outputs
        self._activations = Buffer(pinned=False)
        self._kernels: Any = None
        """TensorRT for RTX's runtime cache, which must outlive the contexts."""
        self._tensors = {name: _Memory() for name in self._bound()}
        self._shapes: OrderedDict[tuple[int, tuple[int, ...]], _Shape] = OrderedDict()
        call("cudaSetDevice", loaded.device)
        self._stream = call("cudaStreamCreateWithFlags", cuda().cudaStreamNonBlocking)

    def run(self, profile: int, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """(N, C, H, W) within a profile → outputs by name.

        Raises:
            CrnnError: CUDA or TensorRT fails; the message gives the reason.
        """
        call("cudaSetDevice", self._loaded.device)  # the current device is per thread
        with collect_logs() as lines:
            try:
                shape = self._shape_of(profile, images.shape)
                staged = self._tensors[INPUT_NAME].host.view(images.shape, np.float32)
                np.copyto(staged, images)
                self._execute(shape, images.nbytes)
                call("cudaStreamSynchronize", self._stream)
            except _RefusedError as error:
                raise CrnnError(f"TensorRT: {error}: {last_error(lines)}") from error
        return {
            name: self._tensors[name].host.view(*shape.outputs[name]).copy()
            for name in self._outputs
        }

    def close(self) -> None:
        """Release contexts, graphs, memory and stream."""
        call("cudaSetDevice", self._loaded.device)
        self._drop_shapes()
        self._activations.free()
        for memory in self._tensors.values():
            memory.free()
        call("cudaStreamDestroy", self._stream)

    def _bound(self) -> tuple[str, ...]:
        """Every tensor needs an address, also an output that nobody asked for."""
        engine = self._loaded.engine
        return tuple(engine.get_tensor_name(index) for index in range(engine.num_io_tensors))

    def _shape_of(self, profile: int, dims: tuple[int, ...]) -> _Shape:
        key = (profile, dims)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._drop(self._shapes.popitem(last=False)[1])
            shape = self._prepare(profile, dims)
            self._place(shape, dims)
            self._shapes[key] = shape
        self._shapes.move_to_end(key)
        return shape

    def _prepare(self, profile: int, dims: tuple[int, ...]) -> _Shape:
        """A new context, set to a profile and a shape."""
        context = self._create_context()
        # Contexts may share a profile from TensorRT 10 on.
        _must(context.set_optimization_profile_async(profile, int(self._stream)), "profile refused")
        call("cudaStreamSynchronize", self._stream)
        _must(context.set_input_shape(INPUT_NAME, dims), f"input shape {dims} refused")
        missing = context.infer_shapes()
        _must(not missing, f"shapes not known: {missing}")
        outputs = {
            name: (tuple(context.get_tensor_shape(name)), self._dtype(name))
            for name in self._tensors
            if name != INPUT_NAME
        }
        # 0 also means that TensorRT could not tell.
        needed = int(context.update_device_memory_size_for_shapes()) or self._most_memory()
        return _Shape(context, outputs, needed)

    def _place(self, shape: _Shape, dims: tuple[int, ...]) -> None:
        """Give a context its addresses; when memory moved, forget who holds the old ones."""
        sizes = {INPUT_NAME: 4 * int(np.prod(dims))} | {
            name: int(np.prod(dims)) * np.dtype(dtype).itemsize
            for name, (dims, dtype) in shape.outputs.items()
        }
        moved = [self._activations.reserve(shape.activations)]
        moved += [self._tensors[name].reserve(size) for name, size in sizes.items()]
        if any(moved):
            self._drop_shapes()
        # set_device_memory(address, size) ends the process in TensorRT 10.7 for engines
        # without weight streaming; the property does the same in all versions.
        shape.context.device_memory = self._activations.address
        for name, memory in self._tensors.items():
            _must(shape.context.set_tensor_address(name, memory.device.address), f"{name} refused")

    def _create_context(self) -> Any:  # noqa: ANN401
        trt, engine = self._loaded.trt, self._loaded.engine
        managed = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if self._loaded.own_graphs:
            context = engine.create_execution_context(managed)
        else:
            config = engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(managed)
            config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            # It compiles kernels as it runs: contexts need not compile what others have.
            self._kernels = self._kernels or config.create_runtime_cache()
            config.set_runtime_cache(self._kernels)  # False: slower, not wrong
            context = engine.create_execution_context(config)
        _must(context is not None, "no execution context")
        return context

    def _execute(self, shape: _Shape, input_bytes: int) -> None:
        """Enqueue a call: the first plainly, the second captured, later ones replayed."""
        shape.calls += 1
        if shape.graph is None and shape.calls == 2 and self._loaded.own_graphs:
            self._capture(shape, input_bytes)
        if shape.graph is not None:
            call("cudaGraphLaunch", shape.graph, self._stream)
        else:
            self._enqueue(shape, input_bytes)

    def _enqueue(self, shape: _Shape, input_bytes: int) -> None:
        kind = cuda().cudaMemcpyKind
        source = self._tensors[INPUT_NAME]
        upload = (source.device.address, source.host.address, input_bytes)
        call("cudaMemcpyAsync", *upload, kind.cudaMemcpyHostToDevice, self._stream)
        _must(shape.context.execute_async_v3(int(self._stream)), "execution failed")
        for name in self._outputs:
            dims, dtype = shape.outputs[name]
            size = int(np.prod(dims)) * np.dtype(dtype).itemsize
            target = self._tensors[name]
            download = (target.host.address, target.device.address, size)
            call("cudaMemcpyAsync", *download, kind.cudaMemcpyDeviceToHost, self._stream)

    def _capture(self, shape: _Shape, input_bytes: int) -> None:
        """Record a call as a CUDA graph; an engine that cannot be captured runs plainly."""
        mode = cuda().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call("cudaStreamBeginCapture", self._stream, mode)
        try:
            self._enqueue(shape, input_bytes)
        except CrnnError:
            cuda().cudaStreamEndCapture(self._stream)  # invalid: it gives no graph
        else:
            with suppress(CrnnError):  # what must not be captured may only show at the end
                graph = call("cudaStreamEndCapture", self._stream)
                shape.graph = call("cudaGraphInstantiate", graph, 0)
                call("cudaGraphDestroy", graph)
        if shape.graph is None:
            cuda().cudaGetLastError()  # forget it, else the next launch is taken for failed

    def _most_memory(self) -> int:
        engine = self._loaded.engine
        # TensorRT 10.0 has only the second name, 11 only the first.
        size = getattr(engine, "device_memory_size_v2", None)
        return max(1, int(engine.device_memory_size if size is None else size))

    def _dtype(self, name: str) -> type[np.generic]:
        kind = self._loaded.engine.get_tensor_dtype(name).name
        if kind not in _DTYPES:
            raise CrnnError(
                f"output {name} of the engine is {kind}, known are {', '.join(_DTYPES)}"
            )
        return _DTYPES[kind]

    def _drop_shapes(self) -> None:
        while self._shapes:
            self._drop(self._shapes.popitem()[1])

    def _drop(self, shape: _Shape) -> None:
        if shape.graph is not None:
            call("cudaGraphExecDestroy", shape.graph)
            shape.graph = None


class _RefusedError(CrnnError):
    """TensorRT returned False or None; its log has the reason."""


def _must(done: object, what: str) -> None:
    if not done:
        raise _RefusedError(what)
