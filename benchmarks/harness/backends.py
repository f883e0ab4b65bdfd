"""The libraries that run a network, each behind one function: a batch in, outputs out.

This runs in a worker (`crnn_benchmarks.harness.worker`), one process for each backend.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_benchmarks.harness.models import Subject, describe, model_file
from crnn_benchmarks.harness.schema import Model
from crnn_benchmarks.harness.torch_backends import Device, open_torch
from crnn_runtime.backends import open_backend
from crnn_runtime.backends.cuda_device import require_device
from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.installed import cache_folder
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.model_file import kind_of

Infer = Callable[[NDArray[np.float32]], dict[str, NDArray[Any]]]


@dataclasses.dataclass(frozen=True)
class Opened:
    """A subject that is ready to run.

    Attributes:
        infer: (N, C, H, W) → outputs by name.
        card: how lines are prepared for it.
        model: for the report.
        file: that is read at run time, None for PyTorch.
    """

    infer: Infer
    card: ModelCard
    model: Model
    file: Path | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backend:
    """A way to run a network.

    Attributes:
        title: for tables.
        precisions: that it runs.
        library: whose arithmetic is its roof (`measure_peak`); None on a GPU.
        open: a subject in a precision with so many threads.
        is_shared: whether one that is open serves all shapes; an engine replays a few as
            graphs only, and those that came later would be timed without.
    """

    title: str
    precisions: tuple[str, ...]
    library: str | None
    open: Callable[[Subject, str, int], Opened]
    is_shared: bool = True


def _torch(device: Device, *, is_compiled: bool) -> Callable[[Subject, str, int], Opened]:
    """PyTorch, see `crnn_benchmarks.harness.torch_backends`."""

    def opened(subject: Subject, precision: str, threads: int) -> Opened:
        infer, card = open_torch(subject, precision, threads, device, is_compiled=is_compiled)
        return Opened(infer, card, describe(subject, None, card))

    return opened


def _runtime(file: Path, subject: Subject, device: str, threads: int) -> Opened:
    backend = open_backend(file, device, threads)
    return Opened(backend.infer, backend.card, describe(subject, file, backend.card), file)


def _onnxruntime(subject: Subject, precision: str, threads: int) -> Opened:
    return _runtime(model_file(subject, precision), subject, "cpu", threads)


def _onnxruntime_cuda(subject: Subject, precision: str, threads: int) -> Opened:
    import onnxruntime as ort  # noqa: PLC0415

    if "CUDAExecutionProvider" not in ort.get_available_providers():  # before an export is made
        raise MissingDependencyError(
            'this build of ONNX Runtime has no CUDA: pip install "crnn[gpu]" in its place'
        )
    return _runtime(model_file(subject, precision), subject, "cuda", threads)


def _tensorrt(subject: Subject, precision: str, threads: int) -> Opened:
    require_device("cuda")  # before minutes go into a build
    from crnn_export.trt.build import build_engine  # noqa: PLC0415

    file = model_file(subject, precision)
    if kind_of(file) == "onnx":
        engine = cache_folder() / f"{file.stem}.trt"
        if not engine.is_file():
            build_engine(file, engine)
        file = engine
    return _runtime(file, subject, "cuda", threads)


WAYS_TO_RUN: dict[str, Backend] = {
    "onnxruntime": Backend(
        title="ONNX Runtime",
        precisions=("fp32", "fp16", "int8"),
        library="onnxruntime",
        open=_onnxruntime,
    ),
    "torch": Backend(
        title="PyTorch eager",
        precisions=("fp32", "bf16"),
        library="torch",
        open=_torch("cpu", is_compiled=False),
    ),
    "torch-compile": Backend(
        title="PyTorch compiled",
        precisions=("fp32", "bf16"),
        library="torch",
        open=_torch("cpu", is_compiled=True),
    ),
    "torch-cuda": Backend(
        title="PyTorch eager CUDA",
        precisions=("fp32", "fp16", "bf16"),
        library=None,
        open=_torch("cuda", is_compiled=False),
    ),
    "torch-compile-cuda": Backend(
        title="PyTorch compiled, CUDA graphs",
        precisions=("fp32", "fp16", "bf16"),
        library=None,
        open=_torch("cuda", is_compiled=True),
    ),
    "onnxruntime-cuda": Backend(
        title="ONNX Runtime CUDA",
        precisions=("fp32", "fp16"),
        library=None,
        open=_onnxruntime_cuda,
    ),
    "tensorrt": Backend(
        title="TensorRT",
        precisions=("fp32", "fp16", "int8"),
        library=None,
        open=_tensorrt,
        is_shared=False,
    ),
}
"""Name → backend. A new one is a function, an entry, and a choice of ``crnn-bench latency``."""


def open_subject(subject: Subject, backend: str, precision: str, threads: int) -> Opened:
    """A subject on a backend.

    Raises:
        CrnnError: the backend lacks the precision, or the subject cannot run there.
        MissingDependencyError: a library or device is missing.
    """
    known = WAYS_TO_RUN[backend]
    if precision not in known.precisions:
        raise CrnnError(f"{known.title} runs {', '.join(known.precisions)} here, not {precision}")
    return known.open(subject, precision, threads)
