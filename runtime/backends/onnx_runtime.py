"""ONNX Runtime, on the CPU or an NVIDIA GPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import INPUT_NAME, OUTPUT_NAMES, Backend
from crnn_runtime.backends.cuda_device import device_index
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import (
    CrnnError,
    MissingDependencyError,
    ModelError,
    install_command,
)
from crnn_runtime.model.card import METADATA_KEY, ModelCard

try:
    import onnxruntime as ort

    from crnn_runtime.backends import onnx_cuda, onnx_foreign
except ImportError as error:
    raise MissingDependencyError(
        f"onnxruntime is not installed: {install_command('cpu')} "
        "(or the extra gpu in place of cpu for NVIDIA GPUs)"
    ) from error

CPU_PROVIDER = "CPUExecutionProvider"


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
    ) -> None:
        self._gpu = device_index(device)
        if self._gpu is None and device != "cpu":
            raise ModelError(f"device {device!r} is not one of cpu, cuda, cuda:1")
        if gpu_memory_limit is not None and self._gpu is None:
            raise CrnnError(
                f"gpu_memory_limit {gpu_memory_limit} is for a GPU, this is device cpu: "
                "leave it out or ask for cuda"
            )
        self._path = path
        self._device = device
        self._gpu_memory_limit = gpu_memory_limit
        self._threads = threads or available_cpus()
        self._session: ort.InferenceSession | None = self._open()
        self._foreign: onnx_foreign.ForeignGraph | None = None
        try:
            metadata = self._session.get_modelmeta().custom_metadata_map
            if METADATA_KEY in metadata and card is None:
                self.card = ModelCard.from_json(metadata[METADATA_KEY])
            else:
                described = onnx_foreign.foreign_card(self._session, card)
                self._foreign, self.card = onnx_foreign.open_foreign(
                    self._session, self._run, described
                )
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if self._foreign is None:
            _check_interface(self._session, self.card, path)
        self._outputs = list(OUTPUT_NAMES[self.card.head])

    def close(self) -> None:
        """Release the model's memory; a second call does nothing."""
        self._session = None

    def infer(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """(N, C, H, W) → outputs by name, batch first."""
        if self._foreign is not None:
            return self._foreign.infer(images, self.card.blank)
        results = self._run(INPUT_NAME, self._outputs, images)
        return dict(zip(self._outputs, results, strict=True))

    def _run(
        self, name: str, outputs: Sequence[str], images: NDArray[np.float32]
    ) -> list[NDArray[Any]]:
        if self._session is None:
            raise ModelError(f"{self._path}: the model is closed, open it again")
        if self._gpu is None:
            results: list[NDArray[Any]] = self._session.run(outputs, {name: images})
            return results
        return onnx_cuda.run_bound(self._session, outputs, images, name)

    def _open(self) -> ort.InferenceSession:
        provider = CPU_PROVIDER if self._gpu is None else onnx_cuda.PROVIDER
        missing = f"device {self._device} is not available to ONNX Runtime"
        if provider not in ort.get_available_providers():
            raise MissingDependencyError(
                f"{missing}: pip uninstall onnxruntime, then {install_command('gpu')}"
            )
        settings: dict[str, str] = {}
        if self._gpu is not None:
            settings = onnx_cuda.cuda_options(self._gpu, self._gpu_memory_limit)
            onnx_cuda.preload_cuda()
        try:
            data = self._path.read_bytes()
            # Its transformer to blocked layouts ends the process on a float16 LSTM, which
            # int8 files have, too. The card, which says the precision, is part of the text.
            is_reduced = b'"precision": "fp32"' not in data
            unsafe = ["NchwcTransformer"] if is_reduced and b"LSTM" in data else []
            session = ort.InferenceSession(
                data,
                session_options(self._threads),
                providers=[(provider, settings)],
                disabled_optimizers=unsafe,
                enable_fallback=0,  # else it prints, and runs on another device
            )
        except Exception as error:  # the library's exceptions share no base class
            reason = str(error).strip().splitlines()[-1]
            raise ModelError(f"{self._path}: ONNX Runtime cannot load it: {reason}") from error
        # Without this check a driver that is missing means the CPU, silently.
        if provider not in session.get_providers():
            raise MissingDependencyError(f"{missing}: no working GPU, driver, CUDA and cuDNN 9")
        return session


def session_options(threads: int) -> ort.SessionOptions:
    """How every session is opened."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; they come back as exceptions as well
    return options


def _check_interface(session: ort.InferenceSession, card: ModelCard, path: Path) -> None:
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
