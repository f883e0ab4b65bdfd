"""Inference libraries behind one interface, chosen by the kind of the model file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.alphabet import AlphabetSource
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.model_file import Kind, find_kind

if TYPE_CHECKING:  # whether there is a GPU is asked without numpy, too
    import numpy as np
    from numpy.typing import NDArray

INPUT_NAME = "images"
OUTPUT_NAMES = {
    "greedy": ("ids", "probs"),
    "topk": ("topk_ids", "topk_log_probs"),
    "log-probs": ("log_probs",),
}
"""Head → names of an exported graph's outputs: the interface of every model file."""


class Backend(Protocol):
    """A model file and the library that runs it: loaded when it is made, until `close`.

    A context manager closes it.
    """

    card: ModelCard

    def infer(self, images: "NDArray[np.float32]") -> "dict[str, NDArray[Any]]":
        """(N, C, H, W) → outputs by name (see `OUTPUT_NAMES`), batch first."""

    def close(self) -> None:
        """Release the model and its memory; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _onnx_runtime(path: Path, device: str | None, **options: Any) -> Backend:  # noqa: ANN401
    from crnn_runtime.backends.onnx_runtime import OnnxRuntimeBackend  # noqa: PLC0415

    return OnnxRuntimeBackend(path, device=device or "cpu", **options)


def _tensorrt(
    path: Path,
    device: str | None,
    *,
    threads: int | None,
    gpu_memory_limit: int | None,
    card: object,
    alphabet: object,
) -> Backend:
    from crnn_runtime.backends.tensorrt.backend import TensorRTBackend  # noqa: PLC0415

    if gpu_memory_limit is not None:
        raise CrnnError(
            f"{path}: gpu_memory_limit bounds ONNX Runtime's arena, and this is an engine: "
            "lower batch_size instead"
        )
    if card is not None or alphabet is not None:
        what = "model card" if card is not None else "alphabet"
        raise ModelError(f"{path}: an engine's model card lies beside it, no {what} can be given")
    return TensorRTBackend(path, device=device or "cuda", threads=threads)


BACKENDS: dict[Kind, Callable[..., Backend]] = {
    "onnx": _onnx_runtime,
    "engine": _tensorrt,
}
"""Kind of model file → the library that runs it.

For a new kind add a file beside this one, an entry here, and its recognition in
`crnn_runtime.model.model_file`. A kind that is here already has one library.
"""


def open_backend(
    path: str | Path,
    device: str | None = None,
    threads: int | None = None,
    *,
    gpu_memory_limit: int | None = None,
    card: str | Path | ModelCard | None = None,
    alphabet: AlphabetSource | None = None,
) -> Backend:
    """The backend that runs ``path``, a file or a reader's name, loaded: close it.

    ``device`` None is the CPU for ONNX and the first GPU for an engine, which
    runs nowhere else. ``gpu_memory_limit`` is in bytes and bounds the arena of an
    ONNX file on a GPU. ``card`` and ``alphabet`` describe an ONNX file that has no card
    inside: a JSON file (see docs/foreign.md) or a card, and a dictionary's file.

    Raises:
        ModelError: there is no such file, or no backend for its kind.
        CrnnError: a memory limit where there is no arena to bound.
        MissingDependencyError: the library or the device is missing, or the reader of
            that name is not installed.
    """
    path, kind = find_kind(path, *BACKENDS)
    return BACKENDS[kind](
        path,
        device,
        threads=threads,
        gpu_memory_limit=gpu_memory_limit,
        card=card,
        alphabet=alphabet,
    )
