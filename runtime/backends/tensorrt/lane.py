"""One stream of a TensorRT engine: its contexts, its memory, its CUDA graphs.

An execution context is not thread-safe, so a lane serves one call at a time;
`crnn_runtime.backends.tensorrt.pool` keeps a few.
"""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import INPUT_NAME
from crnn_runtime.backends.cuda_device import CudaError, call, cuda, handle, on_device, releasing
from crnn_runtime.backends.tensorrt.calls import Call
from crnn_runtime.backends.tensorrt.contexts import Context, ProfileContexts, RefusedError, must
from crnn_runtime.backends.tensorrt.engine import LoadedEngine
from crnn_runtime.backends.tensorrt.library import collect_logs, first_error
from crnn_runtime.backends.tensorrt.memory import LaneMemory
from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)


class Lane:
    """Runs batches one after the other on a stream of its own.

    All contexts of a lane share its memory, since only one runs at a time.
    """

    def __init__(self, loaded: LoadedEngine) -> None:
        self._loaded = loaded
        self._memory = LaneMemory(tuple(loaded.dtypes))
        self._profiles: dict[int, ProfileContexts] = {}
        self._shapes: set[tuple[int, int, int]] = set()
        self._is_capturing = False
        self._recorded: Any = None  # the graph, until it can be launched
        with on_device(loaded.device):
            self._stream = call("cudaStreamCreateWithFlags", cuda().cudaStreamNonBlocking)

    @property
    def contexts(self) -> int:
        """Execution contexts that it has."""
        return sum(len(profile.all()) for profile in self._profiles.values())

    def run(self, planned: Call, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """(n, C, H, w) → outputs by name, of ``planned.rows`` rows, of which the first n count.

        Args:
            planned: the call's profile and shape, in which the images fit; the rest is 0.
            images: of any floating type.

        Raises:
            CrnnError: CUDA or TensorRT fails; the message gives the reason.
        """
        with on_device(self._loaded.device), collect_logs() as lines:
            try:
                return self._run(planned, images)
            # RuntimeError is what some functions of TensorRT raise where others return False.
            except (RefusedError, RuntimeError) as error:
                raise CrnnError(f"TensorRT: {error}: {first_error(lines)}") from error

    def _run(self, planned: Call, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        dims = (planned.rows, *images.shape[1:3], planned.width)
        context = self._contexts(planned.profile).of(dims)
        context.place(self._memory)
        self._stage(images, dims)
        self._execute(context)
        call("cudaStreamSynchronize", self._stream)
        context.settled = True
        if self._loaded.kernels is not None:
            self._note(planned)
        return {
            name: self._memory.tensors[name]
            .host.view(context.outputs[name], self._loaded.dtypes[name])
            .copy()
            for name in self._loaded.outputs
        }

    def close(self) -> None:
        """Release contexts, graphs, memory and stream, even after an error of CUDA."""
        with releasing(self._loaded.device) as quietly:
            quietly(self._end_capture)
            quietly(call, "cudaStreamSynchronize", self._stream)
            for profile in self._profiles.values():
                for context in profile.all():
                    quietly(context.close)
            self._profiles.clear()
            quietly(self._drop_recorded)
            for buffer in self._memory.buffers:
                quietly(buffer.free)
            quietly(call, "cudaStreamDestroy", self._stream)

    def _contexts(self, profile: int) -> ProfileContexts:
        if profile not in self._profiles:
            self._profiles[profile] = ProfileContexts(self._loaded, profile, self._stream)
        return self._profiles[profile]

    def _stage(self, images: NDArray[np.float32], dims: tuple[int, ...]) -> None:
        """Copy the images to pinned memory; rows and columns beyond them are padding, which is 0.

        A copy into float32, whatever the images are: what is uploaded is this memory.
        """
        staged = self._memory.tensors[INPUT_NAME].host.view(dims, self._loaded.dtypes[INPUT_NAME])
        lines, width = len(images), images.shape[3]
        staged[:lines, :, :, :width] = images
        staged[:lines, :, :, width:] = 0
        staged[lines:] = 0

    def _execute(self, context: Context) -> None:
        """Enqueue a call: by its graph where there is one, captured at the second call."""
        wants_graph = context.own and context.settled and context.graph is None
        if wants_graph and self._loaded.capturable:
            self._capture(context)
        if context.graph is not None:
            call("cudaGraphLaunch", context.graph, self._stream)
        else:
            self._enqueue(context)

    def _enqueue(self, context: Context) -> None:
        kind = cuda().cudaMemcpyKind
        assert context.dims is not None
        upload = self._memory.tensors[INPUT_NAME]
        size = int(np.prod(context.dims)) * self._loaded.dtypes[INPUT_NAME].itemsize
        addresses = (upload.device.address, upload.host.address)
        call("cudaMemcpyAsync", *addresses, size, kind.cudaMemcpyHostToDevice, self._stream)
        must(context.raw.execute_async_v3(handle(self._stream)), "execution failed")
        for name in self._loaded.outputs:
            size = int(np.prod(context.outputs[name])) * self._loaded.dtypes[name].itemsize
            download = self._memory.tensors[name]
            addresses = (download.host.address, download.device.address)
            call("cudaMemcpyAsync", *addresses, size, kind.cudaMemcpyDeviceToHost, self._stream)

    def _capture(self, context: Context) -> None:
        """Record a call as a CUDA graph; an engine that cannot be captured runs plainly.

        It is tried once: what the engine is made of decides, not the shape.
        """
        mode = cuda().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call("cudaStreamBeginCapture", self._stream, mode)
        self._is_capturing = True
        try:
            try:
                self._enqueue(context)
            finally:
                self._end_capture()
            context.graph = call("cudaGraphInstantiate", self._recorded, 0)
        except (CrnnError, RuntimeError) as error:
            logger.info("the engine cannot be captured as a CUDA graph: %s", error)
        finally:
            self._drop_recorded()
        if context.graph is None:
            self._loaded.capturable = False
            cuda().cudaGetLastError()  # forget it, else the next launch is taken for failed

    def _end_capture(self) -> None:
        """End it also after an error, when it may give half a graph."""
        if self._is_capturing:
            try:
                self._recorded = call("cudaStreamEndCapture", self._stream)
            except CudaError:  # it has ended all the same
                self._is_capturing = False
                raise
            self._is_capturing = False

    def _drop_recorded(self) -> None:
        if self._recorded is not None:
            call("cudaGraphDestroy", self._recorded)
            self._recorded = None

    def _note(self, planned: Call) -> None:
        """Tell the cache of kernels of a shape that is new to this lane."""
        shape = (planned.profile, planned.rows, planned.width)
        if shape not in self._shapes:
            self._shapes.add(shape)
            assert self._loaded.kernels is not None
            self._loaded.kernels.note_shape()
