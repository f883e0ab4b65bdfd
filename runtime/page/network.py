"""The network of a text detector: pictures in, probability maps out, on any backend."""

import weakref
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ModelError
from crnn_runtime.model.card import METADATA_KEY
from crnn_runtime.model.detector_card import DETECTOR_KEY, DetectorCard
from crnn_runtime.model.engine_file import read_detector_engine
from crnn_runtime.model.foreign_card import PPOCR_KEY
from crnn_runtime.model.model_file import SUFFIXES

Shape = tuple[int, int]
"""Height and width in pixels."""
MAPS = "maps"
"""Output of an engine."""


class Network(Protocol):
    """A detector's graph and the library that runs it: loaded when it is made, until `close`."""

    card: DetectorCard
    fixed: Shape | None
    """The only height and width that it takes, None if it takes any."""

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, H, W) → probabilities of text (N, H, W)."""

    def close(self) -> None:
        """Release the memory; a second call does nothing."""


class OnnxNetwork(Network):
    """A DBNet in ONNX: one input (N, 3, H, W), one output (N, 1, H, W).

    Args:
        path: the file.
        device: ``cpu``, ``cuda`` or ``cuda:1``, None for the first.
        threads: of the CPU, default as many as the process may use.

    Raises:
        ModelError: the file is no text detector.
        MissingDependencyError: ONNX Runtime or the device is missing.
    """

    def __init__(self, path: Path, device: str | None, threads: int | None) -> None:
        from crnn_runtime.backends.onnx_runtime import OnnxSession  # noqa: PLC0415 (an extra)

        self._session = OnnxSession(path, device or "cpu", threads)
        metadata, graph = self._session.metadata, self._session.graph
        try:
            _refuse_reader(metadata.keys())
            inputs, outputs = graph.get_inputs(), graph.get_outputs()
            _check_interface(
                [list(value.shape) for value in inputs],
                [list(value.shape) for value in outputs],
                [value.type for value in inputs],
            )
            text = metadata.get(DETECTOR_KEY)
            self.card = DetectorCard() if text is None else DetectorCard.from_json(text)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        self._input, self._output = inputs[0].name, outputs[0].name
        sizes = inputs[0].shape[2:]
        known = all(isinstance(size, int) and size > 0 for size in sizes)
        self.fixed = (sizes[0], sizes[1]) if known else None

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Network.infer`."""
        (maps,) = self._session.run(self._input, [self._output], images)
        return np.asarray(maps[:, 0], np.float32)

    def close(self) -> None:
        """See `Network.close`."""
        self._session.close()


class EngineNetwork(Network):
    """A DBNet as an engine that ``crnn-export --to trt`` wrote, of one canvas, on a GPU.

    Args:
        path: the engine; the sidecar lies beside it.
        device: ``cuda`` or ``cuda:1``, None for the first.

    Raises:
        ModelError: engine or sidecar is damaged, foreign, of another release or GPU, or no
            text detector's.
        MissingDependencyError: there is no such GPU, or no TensorRT of the engine's flavour.
    """

    def __init__(self, path: Path, device: str | None) -> None:
        from crnn_runtime.backends.tensorrt.engine import load_engine  # noqa: PLC0415 (an extra)
        from crnn_runtime.backends.tensorrt.pool import Pool  # noqa: PLC0415

        self.card, self._record = read_detector_engine(path)
        side = self._record.profiles[0].width.max
        self.fixed = (side, side)
        self._path = path
        self._pool = Pool(
            load_engine(path, path.read_bytes(), self._record, device or "cuda", (MAPS,))
        )
        self._finalizer = weakref.finalize(self, self._pool.close)

    def infer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Network.infer`."""
        from crnn_runtime.backends.tensorrt.calls import plan_calls  # noqa: PLC0415

        if not self._finalizer.alive:
            raise ModelError(f"{self._path}: the detector is closed, open it again")
        maps = []
        for call in plan_calls(self._record.profiles, len(images), images.shape[3]):
            with self._pool.lane() as lane:
                maps.append(lane.run(call, images[call.first : call.last])[MAPS][:, 0])
        return np.concatenate(maps).astype(np.float32, copy=False)

    def close(self) -> None:
        """See `Network.close`."""
        self._finalizer()


def _refuse_reader(keys: Collection[str]) -> None:
    """Tell a line reader by what its maker wrote into it."""
    if METADATA_KEY in keys or PPOCR_KEY in keys:
        raise ModelError("it is a reader of lines, not a text detector: give it as the reader")


def _check_interface(
    inputs: list[list[object]], outputs: list[list[object]], kinds: list[str]
) -> None:
    shapes = f"inputs {inputs} and outputs {outputs}"
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"{shapes} are not those of a text detector (one of each)")
    if len(inputs[0]) == 4 and len(outputs[0]) == 3:
        raise ModelError(
            f"{shapes} look like those of a reader of lines: give it as the reader, "
            "and a text detector (N×3×H×W to N×1×H×W) here"
        )
    if len(inputs[0]) != 4 or len(outputs[0]) != 4 or _channels(inputs[0], 3):
        raise ModelError(f"{shapes} are not those of a text detector (N×3×H×W to N×1×H×W)")
    if _channels(outputs[0], 1):
        raise ModelError(f"{shapes}: the map has {outputs[0][1]} channels, a text detector's has 1")
    if kinds != ["tensor(float)"]:
        raise ModelError(f"its input is a {kinds[0]}, not a tensor(float)")


def _channels(shape: list[object], wanted: int) -> bool:
    return isinstance(shape[1], int) and shape[1] != wanted


def _onnx(path: Path, device: str | None, threads: int | None) -> Network:
    return OnnxNetwork(path, device, threads)


def _engine(path: Path, device: str | None, threads: int | None) -> Network:
    del threads
    return EngineNetwork(path, device)


_NETWORKS: dict[str, Callable[[Path, str | None, int | None], Network]] = {
    ".onnx": _onnx,
    **dict.fromkeys(SUFFIXES["engine"], _engine),
}


def open_network(path: Path, device: str | None = None, threads: int | None = None) -> Network:
    """The network in a file.

    Raises:
        ModelError: there is no such file, no library for its suffix, or no detector in it.
        MissingDependencyError: the library or the device is missing.
    """
    suffix = path.suffix.lower()
    if suffix not in _NETWORKS:
        raise ModelError(f"{path}: not a file of a text detector ({', '.join(_NETWORKS)})")
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    return _NETWORKS[suffix](path, device, threads)
