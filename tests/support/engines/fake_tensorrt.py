# ruff: noqa: ANN401 - the objects are stand-ins
"""TensorRT's runtime classes, computing with ONNX Runtime in memory of `fake_cuda`.

Only names that `tests/export/trt/test_bindings.py` finds in the real bindings exist here.
What it copies, and from where:

- `set_optimization_profile_async` and `infer_shapes` raise RuntimeError where others
  return False (NVIDIA's python/src/infer/pyCore.cpp; the messages are in the bindings of
  TensorRT for RTX 1.7.1 as well). An `execute_async_v3` that fails returns False and logs.
- `Runtime` and `Builder` raise TypeError "factory function returned nullptr" where the
  library cannot start (seen with the bindings of 10.8 and 11.4).
- To set a profile forgets the shapes; memory of activations is laid out anew by
  `update_device_memory_size_for_shapes`, which gives 0 before shapes are set
  (documentation of `IExecutionContext`).
- To capture a context whose shape has not run yet fails, and a graph is bound to the
  shape that its context had (documentation of `enqueueV3` and of CUDA graphs in TensorRT).
  The same is required here of memory for activations that was set anew, to be strict.
- `get_max_output_size` gives -1 before a shape is set (its docstring).
- A context keeps memory of the device while it lives.
- TensorRT for RTX compiles kernels for each new shape: with EAGER in the call, with LAZY,
  the default, in a thread that logs when it has ended. To drop the context waits for it,
  and holds Python's lock all the while (pybind11 deletes with the lock held).
- A runtime cache is refused, not an error, if it is of another release; it needs a CUDA
  context to be read (docstring of `IRuntimeCache.deserialize`). It holds what was compiled
  while it lives.
"""

import ctypes
import struct
import threading
import time
import weakref
from enum import IntEnum
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from fake_cuda import FakeCuda

from crnn_runtime.model.engine_file import Profile

HELPERS = {"alive", "ask", "complain", "compute", "run", "compile", "memory_of", "output_shape"} | {
    "bytes_of", "shapes", "RELEASE",
}  # fmt: skip
"""Names that the real classes do not have."""
CONTEXT_BYTES = 64 * 1024


class FakeLogger:
    """``ILogger``."""

    class Severity(IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity: Any, message: str) -> None:
        raise NotImplementedError


class FakeContext:
    """One execution context: refuses what TensorRT refuses."""

    def __init__(self, engine: "FakeEngine", config: "FakeConfig") -> None:
        self.engine = engine
        self.config = config
        self.profile: int | None = None
        self.shape: tuple[int, ...] | None = None
        self.device_memory = 0
        self.nvtx_verbosity = "DETAILED"
        self.addresses: dict[str, int] = {}
        self.busy = threading.Lock()
        self.ran: tuple[tuple[int, ...], int] | None = None
        self.sized = False
        memory = engine.cuda.allocate(CONTEXT_BYTES, "context")
        weakref.finalize(self, engine.cuda.release, memory, "context")
        engine.contexts.append(weakref.ref(self))
        engine.made += 1

    def __del__(self) -> None:
        for compiled in getattr(self, "compiling", ()):
            # As a C++ destructor does that joins a thread: Python's lock stays held.
            # It gives up after a second or two, because a test is to fail and not to hang: what it
            # leaves behind then is found by `FakeCuda.is_empty`.
            until = struct.pack("qq", int(time.time()) + 2, 0)
            if ctypes.PyDLL(None).sem_timedwait(compiled, until):
                self.engine.cuda.allocate(1, "deadlock")

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.engine.ask("set_optimization_profile_async")
        if stream not in self.engine.cuda.streams or index >= len(self.engine.profiles):
            self.engine.complain(f"profile {index} is not there")
            raise RuntimeError("Error in set optimization profile async.")
        self.profile, self.shape = index, None
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.engine.ask("set_input_shape")
        assert name == "images"
        assert self.profile is not None
        profile = self.engine.profiles[self.profile]
        self.shape, self.sized = shape, False
        return shape[0] in profile.batch and shape[3] in profile.width

    def infer_shapes(self) -> list[str]:
        self.engine.ask("infer_shapes")
        if self.engine.shapeless:
            self.engine.complain("shapes do not\nmatch")
            raise RuntimeError("infer_shapes error code: -1")
        return [] if self.shape else ["images"]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        self.engine.ask("get_tensor_shape")
        assert self.shape is not None
        return self.engine.output_shape(name, self.shape)

    def get_max_output_size(self, name: str) -> int:
        self.engine.ask("get_max_output_size")
        if self.profile is None or self.shape is None:
            return -1
        profile = self.engine.profiles[self.profile]
        shape = (profile.batch.max, *self.engine.pixels, profile.width.max)
        return self.engine.bytes_of(name) * int(np.prod(self.engine.output_shape(name, shape)))

    def update_device_memory_size_for_shapes(self) -> int:
        self.engine.ask("update_device_memory_size_for_shapes")
        self.sized, self.device_memory = True, 0
        return self.engine.memory_of(self.shape) if self.shape else 0

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.engine.ask("set_tensor_address")
        self.addresses[name] = address
        return address != 0

    def execute_async_v3(self, stream: int) -> bool:
        self.engine.ask("execute_async_v3")
        cuda, shape = self.engine.cuda, self.shape
        assert shape is not None
        assert self.sized
        if self.engine.refuses:
            self.engine.complain("no kernel for\nthis layer")
            self.engine.complain("enqueue has failed")
            return False
        has_run = self.ran == (shape, self.device_memory)
        if stream in cuda.capturing and not (has_run and self.engine.capture == "works"):
            self.engine.complain("operation not permitted when stream is capturing")
            if self.engine.capture != "is refused":
                cuda.invalid.add(stream)
            return self.engine.capture == "ends invalid"
        if not has_run:
            self.engine.compile(self)
        self.ran = (shape, self.device_memory)
        self.engine.shapes.add(shape)
        memory, addresses, profile = self.device_memory, dict(self.addresses), self.profile

        def compute() -> None:
            assert self.busy.acquire(blocking=False), "one context used by two threads"
            assert (self.shape, self.profile) == (shape, profile), "the context has changed"
            cuda.check(memory, self.engine.memory_of(shape), "device")
            self.engine.run(shape, addresses)
            self.busy.release()

        cuda.enqueue(stream, compute)
        return True


class FakeCache:
    """``IRuntimeCache``: names of shapes whose kernels were compiled."""

    RELEASE = b"1.7.1 Fake GPU\n"

    def __init__(self, engine: "FakeEngine") -> None:
        self.shapes: set[bytes] = set()
        self._cuda, self._ask = engine.cuda, engine.ask
        memory = self._cuda.allocate(CONTEXT_BYTES, "cache")
        weakref.finalize(self, self._cuda.release, memory, "cache")

    def serialize(self) -> bytes:
        self._ask("serialize")
        return self.RELEASE + b"\n".join(sorted(self.shapes))

    def deserialize(self, content: bytes) -> bool:
        self._ask("deserialize")
        assert self._cuda.streams, "no CUDA context"
        if not content.startswith(self.RELEASE):
            return False
        self.shapes |= set(content.removeprefix(self.RELEASE).split(b"\n")) - {b""}
        return True


@lru_cache(maxsize=4)
def _session(onnx_file: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(onnx_file, options)


class FakeEngine:
    """An engine that computes with ONNX Runtime."""

    def __init__(
        self, cuda: FakeCuda, onnx_file: bytes, profiles: tuple[Profile, ...], logger: Any
    ) -> None:
        self.cuda = cuda
        self.profiles = profiles
        self.logger = logger
        self.refuses = self.shapeless = False
        self.capture: Literal["works", "is refused", "is invalidated", "ends invalid"] = "works"
        self.contexts: list[weakref.ref[FakeContext]] = []
        self.made = 0
        self.caches: list[int] = []
        self.compiled: list[tuple[int, ...]] = []
        self.shapes: set[tuple[int, ...]] = set()
        self.asked: Any = lambda _: None
        """Called with the name of each function of TensorRT; it may raise."""
        self._session = _session(onnx_file)
        self._names = ["images", *(output.name for output in self._session.get_outputs())]
        self._shapes: dict[tuple[int, ...], dict[str, tuple[int, ...]]] = {}
        self.pixels = tuple(self._session.get_inputs()[0].shape[1:3])
        self.num_io_tensors = len(self._names)
        self.device_memory_size_v2 = max(
            self.memory_of((p.batch.max, *self.pixels, p.width.max)) for p in profiles
        )
        weights = cuda.allocate(max(1, len(onnx_file)), "weights")
        weakref.finalize(self, cuda.release, weights, "weights")

    @property
    def alive(self) -> int:
        """Contexts that there are."""
        return sum(context() is not None for context in self.contexts)

    def ask(self, function: str) -> None:
        self.asked(function)

    def complain(self, message: str) -> None:
        self.logger.log(FakeLogger.Severity.ERROR, message)

    def compute(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self._names[1:], self._session.run(None, {"images": images}), strict=True))

    def run(self, shape: tuple[int, ...], addresses: dict[str, int]) -> None:
        """Read the input where its address says, and write the outputs."""
        size = 4 * int(np.prod(shape))
        self.cuda.check(addresses["images"], size, "device")
        raw = (ctypes.c_byte * size).from_address(addresses["images"])
        images = np.frombuffer(bytes(raw), np.float32).reshape(shape)
        for name, values in self.compute(images).items():
            data = np.ascontiguousarray(values)
            self.cuda.check(addresses[name], data.nbytes, "device")
            ctypes.memmove(addresses[name], data.ctypes.data, data.nbytes)

    def compile(self, context: FakeContext) -> None:
        """Compiles kernels as TensorRT for RTX does for a shape that is new to a context."""
        config, shape = context.config, context.shape
        if config.cuda_graph_strategy is None:
            return  # TensorRT has its kernels
        name = str(shape).encode()
        if config.cache is not None and name in config.cache.shapes:
            return
        assert shape is not None
        self.compiled.append(shape)
        if config.cache is not None:
            config.cache.shapes.add(name)
        if config.dynamic_shapes_kernel_specialization_strategy == "EAGER":
            self.logger.log(FakeLogger.Severity.VERBOSE, f"compiled for {shape}")
            return
        done = ctypes.create_string_buffer(64)
        ctypes.PyDLL(None).sem_init(done, 0, 0)
        context.compiling = [*getattr(context, "compiling", []), done]  # type: ignore[attr-defined]
        logger = self.logger

        def work() -> None:
            threading.Event().wait(0.2)  # it compiles
            logger.log(FakeLogger.Severity.VERBOSE, f"compiled for {shape}")
            ctypes.PyDLL(None).sem_post(done)

        threading.Thread(target=work, daemon=True).start()

    def memory_of(self, shape: tuple[int, ...]) -> int:
        return 16 * int(np.prod(shape))

    def output_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the shape of one output for an input, found once by computing it."""
        rows, one = shape[0], (1, *shape[1:])
        if one not in self._shapes:
            outputs = FakeEngine.compute(self, np.zeros(one, np.float32))
            self._shapes[one] = {each: value.shape for each, value in outputs.items()}
        return (rows, *self._shapes[one][name][1:])

    def bytes_of(self, name: str) -> int:
        kinds = {"FLOAT": 4, "INT32": 4, "INT64": 8}
        return kinds[self.get_tensor_dtype(name).name]

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        values = [*self._session.get_inputs(), *self._session.get_outputs()]
        kinds = {value.name: value.type for value in values}
        names = {"tensor(float)": "FLOAT", "tensor(int64)": "INT64", "tensor(int32)": "INT32"}
        return SimpleNamespace(name=names[kinds[name]])

    def create_runtime_config(self) -> "FakeConfig":
        self.ask("create_runtime_config")
        return FakeConfig(self)

    def create_execution_context(self, how: Any) -> FakeContext:
        self.ask("create_execution_context")
        if not isinstance(how, FakeConfig):
            strategy, how = how, FakeConfig(self)
            how.set_execution_context_allocation_strategy(strategy)
        assert how.managed == "user"
        return FakeContext(self, how)


class FakeConfig:
    """``IRuntimeConfig``, with its defaults."""

    def __init__(self, engine: FakeEngine) -> None:
        self.cuda_graph_strategy: str | None = None
        self.dynamic_shapes_kernel_specialization_strategy = "LAZY"
        self.managed: str | None = None
        self.cache: FakeCache | None = None
        self._engine = engine

    def create_runtime_cache(self) -> FakeCache:
        self._engine.ask("create_runtime_cache")
        return FakeCache(self._engine)

    def set_runtime_cache(self, cache: FakeCache) -> bool:
        self._engine.ask("set_runtime_cache")
        self.cache = cache
        self._engine.caches.append(id(cache))
        return True

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.managed = strategy
