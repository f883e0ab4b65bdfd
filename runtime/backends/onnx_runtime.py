"""ONNX Runtime, on the CPU or an NVIDIA GPU."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import INPUT_NAME, OUTPUT_NAMES, Backend, onnx_foreign
from crnn_runtime.backends.onnx_session import OnnxSession
from crnn_runtime.errors import ModelError
from crnn_runtime.model.alphabet import AlphabetSource
from crnn_runtime.model.card import METADATA_KEY, ModelCard
from crnn_runtime.model.classifier import check_classes

if TYPE_CHECKING:
    import onnxruntime as ort


class OnnxRuntimeBackend(Backend):
    """An ONNX file: one that `crnn-export` wrote, or any that a model card describes.

    `infer` may be called from several threads at once.

    Args:
        path: the file.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        threads: of the CPU, default as many as the process may use.
        gpu_memory_limit: bytes that ONNX Runtime's arena may take on the GPU.
        card: of a file that has none inside: a JSON file's path or a card. PP-OCR's
            recognition models need none, see `crnn_runtime.model.foreign_card`.
        alphabet: of such a file, where its card has none.

    Raises:
        ModelError: the file is not ONNX, has no model card, or disagrees with it.
        MissingDependencyError: ONNX Runtime has no support for the device here.
        CrnnError: a memory limit that is not positive, or for the CPU.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        gpu_memory_limit: int | None = None,
        card: str | Path | ModelCard | None = None,
        alphabet: AlphabetSource | None = None,
    ) -> None:
        self._session = OnnxSession(path, device, threads, gpu_memory_limit)
        self._foreign: onnx_foreign.ForeignGraph | None = None
        try:
            metadata = self._session.metadata
            if METADATA_KEY not in metadata:
                self._foreign, self.card = onnx_foreign.open_foreign(
                    self._session.graph, self._session.run, path, card, alphabet
                )
            elif card is None and alphabet is None:
                self.card = ModelCard.from_json(metadata[METADATA_KEY])
            else:
                what = "model card" if card is not None else "alphabet"
                raise ModelError(f"it has a model card inside: another {what} cannot be given")
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if self._foreign is None:
            _check_interface(self._session.graph, self.card, path)
        self._outputs = list(OUTPUT_NAMES[self.card.head])

    def close(self) -> None:
        """Release the model's memory; a second call does nothing."""
        self._session.close()

    def infer(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """(N, C, H, W) → outputs by name, batch first."""
        if self._foreign is not None:
            return self._foreign.infer(images, self.card.blank)
        results = self._session.run(INPUT_NAME, self._outputs, images)
        return dict(zip(self._outputs, results, strict=True))


def _check_interface(session: "ort.InferenceSession", card: ModelCard, path: Path) -> None:
    """Compare the graph's inputs and outputs with what the card says."""
    inputs = {value.name: value.shape for value in session.get_inputs()}
    outputs = {value.name: value.shape for value in session.get_outputs()}
    expected = OUTPUT_NAMES[card.head]
    if list(inputs) != [INPUT_NAME] or not set(expected) <= outputs.keys():
        raise ModelError(
            f"{path}: inputs {list(inputs)} and outputs {list(outputs)} are not those of a line "
            f"reader with a {card.head} head ([{INPUT_NAME!r}], {list(expected)})"
        )
    if len(inputs[INPUT_NAME]) != 4:
        raise ModelError(f"{path}: the graph's input has shape {inputs[INPUT_NAME]}, not N×C×H×W")
    channels, height = inputs[INPUT_NAME][1:3]
    if (channels, height) != (card.channels, card.height):
        raise ModelError(
            f"{path}: the graph wants {channels} channels × {height} pixels, "
            f"its card says {card.channels} × {card.height}"
        )
    if card.head == "log-probs" and outputs["log_probs"][-1] != card.num_classes:
        raise ModelError(
            f"{path}: the graph has {outputs['log_probs'][-1]} classes, "
            f"its card's alphabet makes {card.num_classes}"
        )
    check_classes(path, card)
