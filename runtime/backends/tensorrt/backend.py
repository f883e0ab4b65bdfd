"""An engine of TensorRT or TensorRT for RTX that reads batches of lines."""

import weakref
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import OUTPUT_NAMES, Backend
from crnn_runtime.backends.tensorrt.calls import Call, EngineShapeError, plan_calls
from crnn_runtime.backends.tensorrt.engine import load_engine
from crnn_runtime.backends.tensorrt.pool import Pool
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.engine_file import EngineRecord, read_engine


class TensorRTBackend(Backend):
    """An engine that `crnn-export --to trt` wrote, with its sidecar, on a GPU until `close`.

    `infer` may be called from several threads at once: each call borrows a lane with a
    stream and execution contexts of its own, because a context is not thread-safe.

    Batches and widths beyond the engine's profiles: a batch too large is split,
    one too small is filled up with empty lines, lines too narrow are padded, and
    lines too wide are refused (`EngineShapeError`). An engine is never rebuilt.

    The GPU's memory is released by `close`, when the backend is dropped, and at exit.

    Args:
        path: of the engine; the sidecar lies beside it.
        device: ``cuda`` or ``cuda:1``.
        threads: ignored, the GPU does the work.

    Raises:
        ModelError: engine or sidecar is missing, damaged or foreign, of another release
            or for another GPU.
        MissingDependencyError: there is no such GPU, or no TensorRT of the engine's
            flavour.
    """

    def __init__(self, path: Path, *, device: str = "cuda", threads: int | None = None) -> None:
        del threads
        card, record = read_engine(path)
        self._open(path, path.read_bytes(), card, record, device)

    @classmethod
    def of_plan(
        cls, path: Path, plan: bytes, card: ModelCard, record: EngineRecord, device: str = "cuda"
    ) -> Self:
        """As the constructor, of an engine that is not written yet.

        Args:
            path: where it will be, for messages and the cache of its kernels.
            plan: the engine.
            card: of the model.
            record: that its sidecar will hold.
            device: see the constructor.
        """
        backend = cls.__new__(cls)
        backend._open(path, plan, card, record, device)
        return backend

    def _open(
        self, path: Path, plan: bytes, card: ModelCard, record: EngineRecord, device: str
    ) -> None:
        self.card, self.record = card, record
        self._path = path
        self._outputs = OUTPUT_NAMES[card.head]
        self._pool = Pool(load_engine(path, plan, record, device, self._outputs))
        self._finalizer = weakref.finalize(self, self._pool.close)

    @property
    def contexts(self) -> list[int]:
        """Execution contexts of each lane that is idle: what they cost depends on their number."""
        return self._pool.contexts

    def close(self) -> None:
        """Release the GPU's memory, when the calls that run have returned."""
        self._finalizer()  # once only

    def infer(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """(N, C, H, W) → outputs by name, batch first.

        Raises:
            EngineShapeError: wider than every profile, or not the engine's channels
                and height.
            CrnnError: CUDA or TensorRT fails, or the images are not of a floating type.
            ModelError: the backend is closed.
        """
        if not self._finalizer.alive:
            raise ModelError(f"{self._path}: the engine is closed, open it again")
        self._check(images)
        lines, width = len(images), images.shape[3]
        parts = []
        for call in plan_calls(self.record.profiles, lines, width):
            parts.append(self.run(call, images[call.first : call.last]))
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def run(self, call: Call, part: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Run one call in its own profile; `infer` chooses the profiles by `plan_calls`.

        Args:
            call: profile and shape.
            part: the lines from its first to its last.

        Raises:
            CrnnError: CUDA or TensorRT fails.
        """
        with self._pool.lane() as lane:
            outputs = lane.run(call, part)
        return {name: values[: len(part)] for name, values in outputs.items()}

    def _check(self, images: NDArray[np.float32]) -> None:
        expected = (self.card.channels, self.card.height)
        if images.ndim != 4 or images.shape[1:3] != expected or 0 in images.shape:
            raise EngineShapeError(
                f"{self._path}: lines of shape {images.shape}, expected (N, {expected[0]}, "
                f"{expected[1]}, W)"
            )
        if not np.issubdtype(images.dtype, np.floating):
            raise CrnnError(
                f"{self._path}: lines of {images.dtype}, expected float32: "
                "crnn_runtime.picture.preprocess.to_input makes it of pixels"
            )
