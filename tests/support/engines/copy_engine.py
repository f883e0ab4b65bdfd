"""An engine that copies its input to its output on the device: CUDA's part of a lane alone.

It stands in for TensorRT's classes and calls the real CUDA runtime, so it runs on any
NVIDIA GPU with nothing but cuda-bindings and numpy; on `fake_cuda` it runs everywhere.
"""

from types import SimpleNamespace
from typing import Literal

import numpy as np

from crnn_runtime.backends.cuda_device import call, cuda
from crnn_runtime.backends.tensorrt.engine import LoadedEngine
from crnn_runtime.model.engine_file import Profile, Range

INPUT, OUTPUT = "images", "copies"
PROFILES = (Profile(Range(1, 4, 8), Range(32, 64, 512)), Profile(Range(1, 1, 1), Range(32, 64, 64)))


class CopyContext:
    """An execution context with all that a lane asks of one."""

    def __init__(self, engine: "CopyEngine") -> None:
        self.engine = engine
        self.device_memory = 0
        self.nvtx_verbosity: object = None
        self._profile = 0
        self._shape: tuple[int, ...] = ()
        self._addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, _stream: int) -> bool:
        self._profile = index
        return True

    def set_input_shape(self, _name: str, shape: tuple[int, ...]) -> bool:
        self._shape = shape
        return True

    def infer_shapes(self) -> list[str]:
        return []

    def get_tensor_shape(self, _name: str) -> tuple[int, ...]:
        return self._shape

    def get_max_output_size(self, _name: str) -> int:
        profile = PROFILES[self._profile]
        return 4 * 32 * profile.batch.max * profile.width.max

    def update_device_memory_size_for_shapes(self) -> int:
        return 64 * int(np.prod(self._shape))  # moves with the shapes, as TensorRT's does

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        self.engine.enqueued += 1
        if self.engine.fails:
            raise RuntimeError("the engine refuses")
        size = 4 * int(np.prod(self._shape))
        kind = cuda().cudaMemcpyKind.cudaMemcpyDeviceToDevice
        if self.engine.capture == "synchronises":
            call("cudaStreamSynchronize", stream)  # not permitted in a capture: it invalidates it
        call("cudaMemcpyAsync", self._addresses[OUTPUT], self._addresses[INPUT], size, kind, stream)
        return self.engine.capture == "works" or not int(call("cudaStreamIsCapturing", stream))


class CopyEngine:
    """An engine with all that a lane asks of one.

    Attributes:
        enqueued: calls that were not replayed from a graph.
        contexts: made so far.
        fails: raise in place of running.
        capture: ``works``, ``synchronises`` in the midst of it, which CUDA forbids, or
            ``says no`` after the work was recorded.
    """

    device_memory_size_v2 = 64 * 32 * 8 * 512

    def __init__(self, capture: Literal["works", "synchronises", "says no"] = "works") -> None:
        self.capture = capture
        self.enqueued = self.contexts = 0
        self.fails = False

    def create_execution_context(self, _strategy: object) -> CopyContext:
        self.contexts += 1
        return CopyContext(self)


def load_copy_engine(engine: CopyEngine, device: int = 0) -> LoadedEngine:
    """The engine as a pool takes it."""
    trt = SimpleNamespace(
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED=0),
        ProfilingVerbosity=SimpleNamespace(NONE=0),
    )
    dtypes = {name: np.dtype(np.float32) for name in (INPUT, OUTPUT)}
    return LoadedEngine(trt, engine, device, dtypes, (OUTPUT,), PROFILES, None, capturable=True)
