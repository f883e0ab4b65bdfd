"""A plan that TensorRT has loaded onto a GPU, and what its lanes share."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crnn_runtime.backends import INPUT_NAME
from crnn_runtime.backends.cuda_device import capability, device_name, on_device, require_device
from crnn_runtime.backends.tensorrt.kernel_cache import KernelCache
from crnn_runtime.backends.tensorrt.library import collect_logs, create, first_error, load_library
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.engine_file import FLAVOUR_NAMES, EngineRecord, Profile, check_runs_here

logger = logging.getLogger(__name__)

_DTYPES: dict[str, type[np.generic]] = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT32": np.int32,
    "INT64": np.int64,
}


@dataclass
class LoadedEngine:
    """A deserialised engine and what its lanes need of it.

    Attributes:
        trt: the library's module.
        engine: as TensorRT gives it.
        device: index of the GPU.
        dtypes: of every tensor by name, the input among them.
        outputs: names of the outputs that are brought back.
        profiles: in the order of their index.
        kernels: what TensorRT for RTX compiles, kept between runs; None of TensorRT.
        capturable: whether lanes capture CUDA graphs of it. TensorRT for RTX captures
            them itself; of TensorRT it holds until a capture has failed, as that of an
            LSTM does, whose loop a graph cannot hold.
    """

    trt: Any
    engine: Any
    device: int
    dtypes: dict[str, np.dtype[np.generic]]
    outputs: tuple[str, ...]
    profiles: tuple[Profile, ...]
    kernels: KernelCache | None = None
    capturable: bool = field(default=False)

    @property
    def most_activations(self) -> int:
        """Bytes that the largest call of any profile needs for its activations."""
        return max(1, int(self.engine.device_memory_size_v2))

    def create_context(self) -> Any:  # noqa: ANN401
        """A new execution context, which gets its activations' memory from the lane."""
        trt = self.trt
        managed = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if self.kernels is None:
            context = self.engine.create_execution_context(managed)
        else:
            config = self.engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(managed)
            config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            # Not in threads of its own (LAZY, the default): to drop a context waits for
            # them with Python's lock held, which they need to log. Graphs want it as well.
            config.dynamic_shapes_kernel_specialization_strategy = (
                trt.DynamicShapesKernelSpecializationStrategy.EAGER
            )
            self.kernels.use_in(config)
            context = self.engine.create_execution_context(config)
        if context is not None:
            # DETAILED, as an engine is built that can be read back, slows every call down.
            context.nvtx_verbosity = trt.ProfilingVerbosity.NONE
        return context


def load_engine(
    path: Path, plan: bytes, record: EngineRecord, device: str, outputs: tuple[str, ...]
) -> LoadedEngine:
    """Load a plan onto a GPU.

    Args:
        path: of the engine, for messages and for the cache beside it.
        plan: its content.
        record: what its sidecar says.
        device: ``cuda`` or ``cuda:1``.
        outputs: names of those that are wanted.

    Raises:
        MissingDependencyError: there is no such GPU, or no TensorRT of its flavour.
        ModelError: it is of another release, for another GPU, or not a line reader.
    """
    # First of all: without a GPU TensorRT's Runtime may end the process.
    index = require_device(device)
    trt = load_library(record.flavour)
    check_runs_here(path, record, str(trt.__version__), capability(index))
    _warn_of_another_model(path, record, device_name(index))
    with on_device(index), collect_logs() as lines:
        runtime = create(record.flavour, "Runtime")
        if record.flavour == "rtx":
            check_validity(path, trt, runtime, plan)
        engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise ModelError(f"{path}: TensorRT cannot load it: {first_error(lines)}")
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    if not set(names) >= {INPUT_NAME, *outputs}:
        raise ModelError(
            f"{path}: tensors {', '.join(sorted(names))} are not those of a line reader "
            f"({INPUT_NAME}, {', '.join(outputs)})"
        )
    dtypes = {name: _dtype(engine, name) for name in names}
    if dtypes[INPUT_NAME] != np.float32:
        raise ModelError(f"{path}: its input is {dtypes[INPUT_NAME]}, a line reader's is float32")
    rtx = record.flavour == "rtx"
    kernels = KernelCache(path) if rtx else None
    return LoadedEngine(
        trt, engine, index, dtypes, outputs, record.profiles, kernels, capturable=not rtx
    )


def _warn_of_another_model(path: Path, record: EngineRecord, here: str) -> None:
    """TensorRT times its kernels on the GPU that builds; one of TensorRT for RTX is portable."""
    if record.flavour == "tensorrt" and record.gpu and record.gpu != here:
        logger.warning(
            "engine %s was built on %s and runs on %s: build it again here, it may be slow",
            path, record.gpu, here,
        )  # fmt: skip


def check_validity(path: Path, trt: Any, runtime: Any, plan: bytes) -> None:  # noqa: ANN401
    """Ask TensorRT for RTX whether the plan's header fits before all of it is loaded.

    Raises:
        ModelError: it does not; the message is TensorRT's own diagnosis.
    """
    with collect_logs() as lines:
        validity, bits = runtime.get_engine_validity(plan[: runtime.engine_header_size])
    if validity == trt.EngineValidity.SUBOPTIMAL:
        logger.warning("engine %s is slower than one that is built on this machine", path)
    if validity != trt.EngineValidity.INVALID:
        return
    members = trt.EngineInvalidityDiagnostics.__members__.items()
    named = [name.lower().replace("_", " ") for name, value in members if bits & int(value)]
    raise ModelError(
        f"{path}: {FLAVOUR_NAMES['rtx']} cannot run it here: "
        f"{', '.join(named) or first_error(lines)}"
    )


def _dtype(engine: Any, name: str) -> np.dtype[np.generic]:  # noqa: ANN401
    kind = engine.get_tensor_dtype(name).name
    if kind not in _DTYPES:
        raise CrnnError(f"tensor {name} of the engine is {kind}, known are {', '.join(_DTYPES)}")
    return np.dtype(_DTYPES[kind])
