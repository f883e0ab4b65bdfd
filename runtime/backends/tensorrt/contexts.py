"""The execution contexts of one profile in a lane: which call gets which.

A context costs memory and time to make, a CUDA graph needs one that keeps its shape
(NVIDIA's guide: one context per captured graph). So all shapes share one context, whose
shape is set for each call, and only those that come often get one of their own, with a
graph. TensorRT for RTX captures graphs for many shapes by itself and needs but one.
"""

from collections import Counter
from typing import Any

import numpy as np

from crnn_runtime.backends import INPUT_NAME
from crnn_runtime.backends.cuda_device import call, handle
from crnn_runtime.backends.tensorrt.engine import LoadedEngine
from crnn_runtime.backends.tensorrt.memory import LaneMemory
from crnn_runtime.errors import CrnnError

MOST_CONTEXTS = 8
"""Contexts of one profile in a lane, the shared one among them."""
OFTEN = 3
"""Calls of a shape after which it gets a context of its own, while there are fewer."""
_AGEING = 1024  # calls after which older ones count half

Dims = tuple[int, int, int, int]


class RefusedError(CrnnError):
    """TensorRT returned False or None; its log has the reason."""


def must(done: object, what: str) -> None:
    """Raise `RefusedError` unless TensorRT did what was asked."""
    if not done:
        raise RefusedError(what)


class Context:
    """An execution context, the shape that it is set to, and the graph that replays it.

    Attributes:
        raw: TensorRT's own object.
        dims: of its input, None before the first.
        outputs: name → shape, for ``dims``.
        own: whether one shape has it for itself, which a graph needs.
        settled: whether it has run in this shape and memory: only then a graph is captured.
        graph: that replays it, None without one.
    """

    def __init__(self, loaded: LoadedEngine, profile: int, stream: object, *, own: bool) -> None:
        self._loaded = loaded
        self._addresses: tuple[int, ...] = ()
        self._activations = 0
        self.own = own
        self.dims: Dims | None = None
        self.outputs: dict[str, tuple[int, ...]] = {}
        self.settled = False
        self.graph: Any = None
        bounds = loaded.profiles[profile]
        self._most_pixels = bounds.batch.max * bounds.width.max
        self._most: dict[str, int] = {}  # bytes of each output in the profile's largest call
        self.raw = loaded.create_context()
        must(self.raw is not None, "no execution context")
        try:
            # Contexts may share a profile from TensorRT 10 on.
            done = self.raw.set_optimization_profile_async(profile, handle(stream))
            must(done, f"profile {profile} refused")
            call("cudaStreamSynchronize", stream)
        except BaseException:
            self.raw = None  # whoever keeps the exception keeps this object
            raise

    def set_shape(self, dims: Dims) -> None:
        """Set the input's shape; a graph of another is dropped."""
        if dims == self.dims:
            return
        self.drop_graph()
        self.dims, self.settled = None, False
        self._addresses = ()  # the activations are laid out anew
        must(self.raw.set_input_shape(INPUT_NAME, dims), f"input shape {dims} refused")
        missing = self.raw.infer_shapes()
        must(not missing, f"shapes not known: {missing}")
        names = [name for name in self._loaded.dtypes if name != INPUT_NAME]
        self.outputs = {name: tuple(self.raw.get_tensor_shape(name)) for name in names}
        if not self._most:  # it is not known before a shape is set
            self._most = {name: int(self.raw.get_max_output_size(name)) for name in names}
        # 0 also means that TensorRT could not tell.
        needed = int(self.raw.update_device_memory_size_for_shapes())
        self._activations = needed or self._loaded.most_activations
        self.dims = dims

    def place(self, memory: LaneMemory) -> None:
        """Make room for the shape, and give the context its addresses where they changed."""
        assert self.dims is not None
        rows, _, _, width = self.dims
        dtypes = self._loaded.dtypes
        shapes = {INPUT_NAME: self.dims, **self.outputs}
        sizes = {name: int(np.prod(shapes[name])) * dtypes[name].itemsize for name in dtypes}
        most = {**self._most, INPUT_NAME: sizes[INPUT_NAME] // (rows * width) * self._most_pixels}
        memory.reserve(sizes, most, self._activations, self._loaded.most_activations)
        if memory.addresses == self._addresses:
            return
        self.drop_graph()
        self.settled = False
        # set_device_memory(address, size) ends the process in TensorRT 10.7 for engines
        # without weight streaming; the property does the same in all versions.
        self.raw.device_memory = memory.activations.address
        for name, tensor in memory.tensors.items():
            done = self.raw.set_tensor_address(name, tensor.device.address)
            must(done, f"address of {name} refused")
        self._addresses = memory.addresses

    def drop_graph(self) -> None:
        """Destroy the graph, if there is one."""
        if self.graph is not None:
            call("cudaGraphExecDestroy", self.graph)
            self.graph = None

    def close(self) -> None:
        """Release it, also where an exception's traceback still refers to this object."""
        self.raw = None
        self.drop_graph()


class ProfileContexts:
    """The contexts of a profile: one for all shapes, and a few for those that come often."""

    def __init__(self, loaded: LoadedEngine, profile: int, stream: object) -> None:
        self._loaded = loaded
        self._profile = profile
        self._stream = stream
        self._shared: Context | None = None
        self._own: dict[Dims, Context] = {}
        self._seen: Counter[Dims] = Counter()
        self._calls = 0

    def all(self) -> list[Context]:
        """Every context there is."""
        return [*self._own.values(), *([self._shared] if self._shared else [])]

    def of(self, dims: Dims) -> Context:
        """The context for a call, set to its shape."""
        self._count(dims)
        if not self._loaded.capturable:  # it was, and single shapes need no context then
            self._drop_own()
        context = self._own.get(dims) or self._promoted(dims)
        if context is None:
            if self._shared is None:
                self._shared = self._make(own=False)
            context = self._shared
        context.set_shape(dims)
        return context

    def _drop_own(self) -> None:
        for dims in list(self._own):
            self._own[dims].close()
            del self._own[dims]

    def _make(self, *, own: bool) -> Context:
        return Context(self._loaded, self._profile, self._stream, own=own)

    def _count(self, dims: Dims) -> None:
        self._calls += 1
        self._seen[dims] += 1
        if self._calls % _AGEING == 0:
            self._seen = Counter({dims: n // 2 for dims, n in self._seen.items() if n > 1})

    def _promoted(self, dims: Dims) -> Context | None:
        """A context of its own for a shape that came often; the rarest must make way for it."""
        if not self._loaded.capturable or self._seen[dims] < OFTEN:
            return None
        if len(self._own) < MOST_CONTEXTS - 1:
            self._own[dims] = self._make(own=True)
            return self._own[dims]
        rarest = min(self._own, key=self._seen.__getitem__)
        if self._seen[dims] < 2 * self._seen[rarest]:
            return None
        self._own[dims] = self._own.pop(rarest)
        return self._own[dims]
