# ruff: noqa: ANN401, N802, N815 - the names are CUDA's, the objects stand-ins
"""A GPU of host memory, for what cannot run where there is no GPU.

It stands in for ``cuda.bindings.runtime`` and for TensorRT's runtime classes, and is
strict where the real ones are undefined: memory that is freed or too small, a tensor
without an address, a graph that was destroyed. The engine computes with ONNX Runtime.
Only names that `tests/export/trt/test_bindings.py` finds in the real bindings exist here.
"""

import ctypes
import itertools
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from crnn_runtime.backends import cuda_device, tensorrt_library
from crnn_runtime.model.engine_file import EngineRecord, Flavour, Profile, sha256_of, sidecar_path
from crnn_runtime.model.engine_file import sidecar_text as make_sidecar

VERSION = "11.4.0.106"
HEADER = {"tensorrt": b"ftrt", "rtx": b"vtrt"}


class FakeCuda:
    """``cuda.bindings.runtime``: every function returns (status, results...)."""

    cudaStreamNonBlocking = 1
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="H2D", cudaMemcpyDeviceToHost="D2H")
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrComputeCapabilityMajor=0, cudaDevAttrComputeCapabilityMinor=1
    )

    def __init__(self, devices: int = 1) -> None:
        self.devices = devices
        self.memory: dict[int, ctypes.Array[Any]] = {}
        self.kinds: dict[int, str] = {}
        self.streams: dict[int, list[Callable[[], None]] | None] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.limit: int | None = None
        self.counts = {"capture": 0, "launch": 0}
        self.uncapturable = False
        self.last_error = 0
        self._numbers = itertools.count(1)
        self._local = threading.local()

    def cudaGetDeviceCount(self) -> tuple[int, int | None]:
        return (0, self.devices) if self.devices else (35, None)

    def cudaGetErrorString(self, status: int) -> tuple[int, bytes]:
        reasons = {2: b"out of memory", 35: b"CUDA driver version is insufficient"}
        return 0, reasons.get(int(status), b"invalid argument")

    def cudaSetDevice(self, index: int) -> tuple[int]:
        self._local.device = index
        return (0 if index < self.devices else 101,)

    def cudaDeviceGetAttribute(self, attribute: int, _index: int) -> tuple[int, int]:
        return 0, (8, 6)[attribute]

    def cudaGetDeviceProperties(self, _index: int) -> tuple[int, SimpleNamespace]:
        return 0, SimpleNamespace(name=b"Fake GPU")

    def _allocate(self, size: int, kind: str) -> tuple[int, int | None]:
        assert self._local.device is not None  # another thread's device is not this one's
        if self.limit is not None and size > self.limit:
            return 2, None
        block = (ctypes.c_byte * size)()
        address = ctypes.addressof(block)
        self.memory[address] = block
        self.kinds[address] = kind
        return 0, address

    def cudaMalloc(self, size: int) -> tuple[int, int | None]:
        return self._allocate(size, "device")

    def cudaMallocHost(self, size: int) -> tuple[int, int | None]:
        return self._allocate(size, "host")

    def _free(self, address: int, kind: str) -> tuple[int]:
        if self.kinds.pop(address, None) != kind:
            return (1,)
        block = self.memory.pop(address)
        ctypes.memset(block, 0xAB, ctypes.sizeof(block))
        return (0,)

    def cudaFree(self, address: int) -> tuple[int]:
        return self._free(address, "device")

    def cudaFreeHost(self, address: int) -> tuple[int]:
        return self._free(address, "host")

    def check(self, address: int, size: int, kind: str) -> None:
        """Fail the test unless ``size`` bytes live at ``address``."""
        assert self.kinds.get(address) == kind, f"{kind} memory at {address:#x} is not allocated"
        assert ctypes.sizeof(self.memory[address]) >= size

    def cudaStreamCreateWithFlags(self, _flags: int) -> tuple[int, int]:
        stream = next(self._numbers)
        self.streams[stream] = None
        return 0, stream

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        del self.streams[stream]
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        assert self.streams[stream] is None, "synchronised while capturing"
        return (0,)

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        """Do the work, or record it while the stream is being captured."""
        assert not self.last_error, "launched with an error pending"
        recorded = self.streams[int(stream)]
        if recorded is None:
            work()
        else:
            recorded.append(work)

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: str, stream: int
    ) -> tuple[int]:
        kinds = ("device", "host") if kind == "H2D" else ("host", "device")

        def copy() -> None:
            self.check(target, size, kinds[0])
            self.check(source, size, kinds[1])
            ctypes.memmove(target, source, size)

        self.enqueue(stream, copy)
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, _mode: int) -> tuple[int]:
        self.streams[stream] = []
        return (0,)

    def cudaGetLastError(self) -> tuple[int]:
        self.last_error, error = 0, self.last_error
        return (error,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, int | None]:
        recorded, self.streams[stream] = self.streams[stream], None
        assert recorded is not None
        if self.uncapturable:
            self.last_error = 901  # the capture was invalidated
            return self.last_error, None
        graph = next(self._numbers)
        self.graphs[graph] = recorded
        return 0, graph

    def cudaGraphInstantiate(self, graph: int, _flags: int) -> tuple[int, int]:
        self.counts["capture"] += 1
        executable = next(self._numbers)
        self.graphs[executable] = self.graphs[graph]
        return 0, executable

    def cudaGraphDestroy(self, graph: int) -> tuple[int]:
        del self.graphs[graph]
        return (0,)

    cudaGraphExecDestroy = cudaGraphDestroy

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[int]:
        assert self.streams[stream] is None
        self.counts["launch"] += 1
        for work in self.graphs[graph]:
            work()
        return (0,)


@dataclass
class FakeContext:
    """One execution context: refuses what TensorRT refuses."""

    engine: "FakeEngine"
    managed: bool
    profile: int | None = None
    shape: tuple[int, ...] | None = None
    device_memory: int = 0
    addresses: dict[str, int] = field(default_factory=dict)
    busy: threading.Lock = field(default_factory=threading.Lock)

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profile = index
        return stream in self.engine.cuda.streams and index < len(self.engine.profiles)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "images"
        assert self.profile is not None
        profile = self.engine.profiles[self.profile]
        self.shape = shape
        return shape[0] in profile.batch and shape[3] in profile.width

    def infer_shapes(self) -> list[str]:
        return [] if self.shape else ["images"]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert self.shape is not None
        outputs = self.engine.compute(np.zeros(self.shape, np.float32))
        return tuple(outputs[name].shape)

    def update_device_memory_size_for_shapes(self) -> int:
        assert self.shape is not None
        return self.engine.memory_of(self.shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return address != 0

    def execute_async_v3(self, stream: int) -> bool:
        if self.engine.refuses:
            self.engine.logger.log(FakeLogger.Severity.ERROR, "no kernel for\nthis layer")
            return False
        self.engine.cuda.enqueue(stream, self._compute)
        return True

    def _compute(self) -> None:
        assert self.busy.acquire(blocking=False), "one context used by two threads"
        cuda, shape = self.engine.cuda, self.shape
        assert shape is not None
        if self.managed:
            cuda.check(self.device_memory, self.engine.memory_of(shape), "device")
        size = 4 * int(np.prod(shape))
        cuda.check(self.addresses["images"], size, "device")
        raw = (ctypes.c_byte * size).from_address(self.addresses["images"])
        images = np.frombuffer(bytes(raw), np.float32).reshape(shape)
        for name, values in self.engine.compute(images).items():
            data = np.ascontiguousarray(values)
            cuda.check(self.addresses[name], data.nbytes, "device")
            ctypes.memmove(self.addresses[name], data.ctypes.data, data.nbytes)
        self.busy.release()


class FakeEngine:
    """An engine that computes with ONNX Runtime."""

    def __init__(
        self, cuda: FakeCuda, onnx_file: bytes, profiles: tuple[Profile, ...], logger: Any
    ) -> None:
        self.cuda = cuda
        self.profiles = profiles
        self.logger = logger
        self.refuses = False
        self.contexts: list[FakeContext] = []
        self.caches: list[object] = []
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(onnx_file, options)
        self._names = ["images", *(output.name for output in self._session.get_outputs())]
        self.num_io_tensors = len(self._names)
        self.device_memory_size_v2 = 1 << 20

    def compute(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self._names[1:], self._session.run(None, {"images": images}), strict=True))

    def memory_of(self, shape: tuple[int, ...]) -> int:
        return 16 * int(np.prod(shape))

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        kinds = {value.name: value.type for value in self._session.get_outputs()}
        names = {"tensor(float)": "FLOAT", "tensor(int64)": "INT64", "tensor(int32)": "INT32"}
        return SimpleNamespace(name=names[kinds[name]])

    def create_runtime_config(self) -> SimpleNamespace:
        config = SimpleNamespace(cuda_graph_strategy=None, managed=None)
        config.create_runtime_cache = object
        config.set_runtime_cache = lambda cache: self.caches.append(cache) or True
        config.set_execution_context_allocation_strategy = lambda strategy: setattr(
            config, "managed", strategy
        )
        return config

    def create_execution_context(self, how: Any) -> FakeContext:
        managed = getattr(how, "managed", how) == "user"
        self.contexts.append(FakeContext(self, managed))
        return self.contexts[-1]


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


@dataclass
class FakeGpu:
    """What a test holds: the device, and the engines that were loaded on it."""

    cuda: FakeCuda
    profiles: tuple[Profile, ...]
    engines: list[FakeEngine] = field(default_factory=list)
    runtimes: int = 0

    def module(self) -> Any:  # the module tensorrt or tensorrt_rtx
        gpu = self

        class Runtime:
            def __init__(self, logger: Any) -> None:
                assert gpu.cuda.devices, "TensorRT was touched without a GPU"
                gpu.runtimes += 1
                self._logger = logger

            def deserialize_cuda_engine(self, plan: bytes) -> FakeEngine | None:
                onnx_file = plan[64:]
                if onnx_file == b"foreign":
                    self._logger.log(FakeLogger.Severity.ERROR, "cannot be deserialised")
                    return None
                gpu.engines.append(FakeEngine(gpu.cuda, onnx_file, gpu.profiles, self._logger))
                return gpu.engines[-1]

        return SimpleNamespace(
            __version__=VERSION,
            ILogger=FakeLogger,
            Runtime=Runtime,
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user"),
            CudaGraphStrategy=SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole"),
        )


def install(
    monkeypatch: pytest.MonkeyPatch, profiles: tuple[Profile, ...], *, devices: int = 1
) -> FakeGpu:
    """Put the stand-ins where the runtime imports the real ones from."""
    gpu = FakeGpu(FakeCuda(devices), profiles)
    uninstall()
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(runtime=gpu.cuda))
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, gpu.module())
    return gpu


def uninstall() -> None:
    """Forget the stand-ins; call it when the monkeypatch is undone."""
    for function in (
        cuda_device.cuda,
        tensorrt_library.load_library,
        tensorrt_library.shared_logger,
    ):
        function.cache_clear()


def write_fake_engine(
    path: Path,
    onnx_file: bytes,
    card: Any,
    profiles: tuple[Profile, ...],
    *,
    flavour: Flavour = "tensorrt",
    **changes: Any,
) -> Path:
    """A plan with a real header whose body is an ONNX file, and its sidecar."""
    version = bytes(int(part) for part in VERSION.split("."))
    size = 64 + len(onnx_file)
    header = HEADER[flavour] + bytes(12) + size.to_bytes(8, "little") + version + bytes(4)
    path.write_bytes(header + bytes([4]) + bytes(31) + onnx_file)
    fields = {
        "flavour": flavour,
        "version": VERSION,
        "targets": ("sm_86",),
        "profiles": profiles,
        "size": size,
        "sha256": sha256_of(path),
        "onnx_sha256": "",
    }
    record = EngineRecord(**{**fields, **changes})
    sidecar_path(path).write_text(make_sidecar(card, record), "utf-8")
    return path
