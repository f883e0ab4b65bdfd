# ruff: noqa: ANN401, N802, N815 - the names are CUDA's
"""``cuda.bindings.runtime`` with memory of the host in place of a GPU's.

Strict where the real one is undefined: memory that is freed or too small, a graph that
was destroyed, work that was not waited for.

What it copies, and from where:

- Functions return (status, results...), after an error None in place of each result; a
  status converts to int (looked up in cuda-bindings 12.9.1 and 13.5.0, which without a driver
  answer 35 to all but `cudaDriverGetVersion`, 0 then, and `cudaRuntimeGetVersion`;
  `test_bindings` compares the two).
- Work is done when the stream is synchronised, not when it is enqueued (CUDA programming
  guide); `cudaFree` waits for the device.
- `cudaStreamEndCapture` ends a capture after errors as well, and may give a graph then
  (CUDA reference: NULL only if the capture was invalidated). On a stream that captures
  nothing it fails; the number of that error, 401, was not looked up.
- Graphs, and executable ones, take memory of the device until they are destroyed.
- After an error such as 700 every call gives it again ("This leaves the process in an
  inconsistent state", docstring of `cudaError_t`).
- A stream has no `__int__`: its use is deprecated (documentation of cuda-bindings), and
  `cuda.bindings.utils.get_cuda_native_handle` gives the address.
"""

import ctypes
import itertools
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from crnn_runtime.backends import cuda_device

if TYPE_CHECKING:  # a machine that has no more than CUDA lacks it
    import pytest

Work = Callable[[], None]
GRAPH_BYTES = 4096


class FakeStream:
    """``cudaStream_t``."""

    def __init__(self, address: int) -> None:
        self.address = address


class FakeUtils:
    """``cuda.bindings.utils``."""

    @staticmethod
    def get_cuda_native_handle(stream: Any) -> int:
        if not isinstance(stream, FakeStream):
            raise TypeError(f"Unknown type: {type(stream)}")
        return stream.address


class FakeCuda:
    """``cuda.bindings.runtime``: every function returns (status, results...)."""

    cudaStreamNonBlocking = 1
    cudaMemcpyKind = SimpleNamespace(
        cudaMemcpyHostToDevice="H2D", cudaMemcpyDeviceToHost="D2H", cudaMemcpyDeviceToDevice="D2D"
    )
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrComputeCapabilityMajor=0, cudaDevAttrComputeCapabilityMinor=1
    )

    def __init__(self, devices: int = 1) -> None:
        self.devices = devices
        self.driver, self.runtime = 13020, 13050
        self.name, self.capability = b"Fake GPU", (8, 6)
        self.memory: dict[int, ctypes.Array[Any]] = {}
        self._spoilt: deque[ctypes.Array[ctypes.c_byte]] = deque(maxlen=16)
        self.kinds: dict[int, str] = {}
        self.streams: dict[int, list[Work]] = {}
        self.capturing: dict[int, list[Work]] = {}
        self.graphs: dict[int, tuple[list[Work], Any]] = {}
        self.limit: int | None = None
        self.counts = {"capture": 0, "launch": 0, "begin": 0}
        self.invalid: set[int] = set()
        self.last_error = 0
        self.lost = 0
        self.failing: Callable[[str], int] = lambda _: 0
        """Name of a function → status that it is to fail with; it may raise as well."""
        self._numbers = itertools.count(1)
        self._local = threading.local()
        self._busy = threading.RLock()

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        asks = name in ("cudaGetErrorString", "cudaDriverGetVersion", "cudaRuntimeGetVersion")
        if not name.startswith("cuda") or not callable(found) or asks:
            return found

        def checked(*arguments: Any) -> Any:
            status = self.lost or self.failing(name)
            if not status:
                return found(*arguments)
            if name == "cudaStreamEndCapture":
                self.capturing.pop(arguments[0].address, None)
                self.invalid.clear()
            results = get_args(get_type_hints(found)["return"])[1:]
            return (status, *[None] * len(results))

        return checked

    # Devices

    def cudaGetDeviceCount(self) -> tuple[int, int | None]:
        if self.driver == 0 or self.driver // 1000 < self.runtime // 1000:
            return 35, None
        return (0, self.devices) if self.devices else (100, None)

    def cudaDriverGetVersion(self) -> tuple[int, int]:
        return 0, self.driver

    def cudaRuntimeGetVersion(self) -> tuple[int, int]:
        return 0, self.runtime

    def cudaGetErrorString(self, status: int) -> tuple[int, bytes]:
        reasons = {
            2: b"out of memory",
            35: b"CUDA driver version is insufficient for CUDA runtime version",
            100: b"no CUDA-capable device is detected",
            700: b"an illegal memory access was encountered",
        }
        return 0, reasons.get(int(status), b"invalid argument")

    def cudaGetLastError(self) -> tuple[int]:
        self.last_error, error = 0, self.last_error
        return (error,)

    @property
    def device(self) -> int:
        """Current device of this thread."""
        return getattr(self._local, "device", 0)

    def cudaGetDevice(self) -> tuple[int, int]:
        return 0, self.device

    def cudaSetDevice(self, index: int) -> tuple[int]:
        if index >= self.devices:
            return (101,)
        self._local.device = index
        return (0,)

    def cudaDeviceGetAttribute(self, attribute: int, _index: int) -> tuple[int, int]:
        return 0, self.capability[attribute]

    def cudaGetDeviceProperties(self, _index: int) -> tuple[int, SimpleNamespace]:
        return 0, SimpleNamespace(name=self.name)

    # Memory

    def allocate(self, size: int, kind: str) -> int | None:
        """A block, None where the limit forbids it."""
        if self.limit is not None and size > self.limit:
            return None
        block = (ctypes.c_byte * size)()
        address = ctypes.addressof(block)
        self.memory[address] = block
        self.kinds[address] = kind
        return address

    def release(self, address: int, kind: str) -> bool:
        """Free a block, and spoil what it held; its address does not come again at once."""
        if self.kinds.get(address) != kind:
            return False
        del self.kinds[address]
        block = self.memory.pop(address)
        ctypes.memset(block, 0xAB, ctypes.sizeof(block))
        self._spoilt.append(block)
        return True

    def cudaMalloc(self, size: int) -> tuple[int, int | None]:
        address = self.allocate(size, "device")
        return (2, None) if address is None else (0, address)

    def cudaMallocHost(self, size: int) -> tuple[int, int | None]:
        address = self.allocate(size, "host")
        return (2, None) if address is None else (0, address)

    def cudaFree(self, address: int) -> tuple[int]:
        self._finish_all()
        return (0 if self.release(address, "device") else 1,)

    def cudaFreeHost(self, address: int) -> tuple[int]:
        self._finish_all()
        return (0 if self.release(address, "host") else 1,)

    def cudaMemGetInfo(self) -> tuple[int, int, int]:
        taken = sum(len(self.memory[a]) for a, kind in self.kinds.items() if kind != "host")
        return 0, 2**34 - taken, 2**34

    def check(self, address: int, size: int, kind: str) -> None:
        """Fail the test unless ``size`` bytes live at ``address``."""
        assert self.kinds.get(address) == kind, f"{kind} memory at {address:#x} is not allocated"
        assert ctypes.sizeof(self.memory[address]) >= size

    # Streams

    def cudaStreamCreateWithFlags(self, _flags: int) -> tuple[int, FakeStream]:
        stream = FakeStream(next(self._numbers))
        self.streams[stream.address] = []
        return 0, stream

    def cudaStreamDestroy(self, stream: FakeStream) -> tuple[int]:
        self._finish(stream.address)
        del self.streams[stream.address]
        return (0,)

    def cudaStreamSynchronize(self, stream: FakeStream | int) -> tuple[int]:
        address = _address(stream)
        if address in self.capturing:
            self.invalid.add(address)
            return (900,)  # not permitted: it invalidates the capture
        self._finish(address)
        return (0,)

    def _finish(self, stream: int) -> None:
        with self._busy:
            while self.streams[stream]:
                self.streams[stream].pop(0)()

    def _finish_all(self) -> None:
        for stream in list(self.streams):
            self._finish(stream)

    def enqueue(self, stream: int, work: Work) -> None:
        """Add to the stream, or record while the stream is being captured."""
        assert not self.last_error, "launched with an error pending"
        self.capturing.get(stream, self.streams[stream]).append(work)

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: str, stream: FakeStream | int
    ) -> tuple[int]:
        kinds = {"H2D": ("device", "host"), "D2H": ("host", "device"), "D2D": ("device", "device")}

        def copy() -> None:
            self.check(target, size, kinds[kind][0])
            self.check(source, size, kinds[kind][1])
            ctypes.memmove(target, source, size)

        self.enqueue(_address(stream), copy)
        return (0,)

    # Graphs

    def cudaStreamBeginCapture(self, stream: FakeStream, _mode: int) -> tuple[int]:
        assert not self.streams[stream.address], "captured before earlier work was waited for"
        self.counts["begin"] += 1
        self.capturing[stream.address] = []
        return (0,)

    def cudaStreamIsCapturing(self, stream: FakeStream | int) -> tuple[int, int]:
        return 0, int(_address(stream) in self.capturing)

    def cudaStreamEndCapture(self, stream: FakeStream) -> tuple[int, int | None]:
        recorded = self.capturing.pop(stream.address, None)
        if recorded is None:
            return 401, None  # the stream is in no state for it
        if stream.address in self.invalid:
            self.invalid.remove(stream.address)
            self.last_error = 901  # the capture was invalidated
            return self.last_error, None
        return 0, self._keep(recorded)

    def cudaGraphInstantiate(self, graph: int, _flags: int) -> tuple[int, int]:
        self.counts["capture"] += 1
        return 0, self._keep(self.graphs[graph][0])

    def _keep(self, recorded: list[Work]) -> int:
        graph = next(self._numbers)
        self.graphs[graph] = (recorded, self.allocate(GRAPH_BYTES, "graph"))
        return graph

    def cudaGraphDestroy(self, graph: int) -> tuple[int]:
        self.release(self.graphs.pop(graph)[1], "graph")
        return (0,)

    cudaGraphExecDestroy = cudaGraphDestroy

    def cudaGraphLaunch(self, graph: int, stream: FakeStream) -> tuple[int]:
        assert stream.address not in self.capturing
        self.counts["launch"] += 1
        for work in self.graphs[graph][0]:
            self.enqueue(stream.address, work)
        return (0,)

    @property
    def is_empty(self) -> bool:
        """Whether no block, stream or graph is left."""
        return not (self.memory or self.kinds or self.streams or self.graphs or self.capturing)


def _address(stream: FakeStream | int) -> int:
    """A stream may be given as an integer."""
    return stream if isinstance(stream, int) else stream.address


@contextmanager
def stand_in(monkeypatch: "pytest.MonkeyPatch", cuda: FakeCuda) -> Iterator[FakeCuda]:
    """Put it where the runtime imports the real one from."""
    install(monkeypatch, cuda)
    yield cuda
    monkeypatch.undo()
    cuda_device.cuda.cache_clear()


def install(monkeypatch: "pytest.MonkeyPatch", cuda: FakeCuda) -> None:
    """As `stand_in`, for good: the cache of `cuda_device.cuda` must be cleared afterwards."""
    cuda_device.cuda.cache_clear()
    bindings = SimpleNamespace(runtime=cuda, utils=FakeUtils)
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setitem(sys.modules, "cuda.bindings.utils", FakeUtils)
