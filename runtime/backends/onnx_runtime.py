"""ONNX Runtime: a graph on the CPU or an NVIDIA GPU, and the backend that reads lines with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import INPUT_NAME, OUTPUT_NAMES, Backend, onnx_foreign
from crnn_runtime.backends.cuda_device import device_index
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError, MissingDependencyError, ModelError, install_command
from crnn_runtime.model.alphabet import AlphabetSource
from crnn_runtime.model.card import METADATA_KEY, ModelCard
from crnn_runtime.model.classifier import check_classes
from crnn_runtime.model.onnx_bytes import self_contained

try:
    import onnxruntime as ort

    from crnn_runtime.backends import onnx_cuda
except ImportError as error:
    raise MissingDependencyError(
        f"onnxruntime is not installed: {install_command('cpu')} "
        "(or the extra gpu in place of cpu for NVIDIA GPUs)"
    ) from error

CPU_PROVIDER = "CPUExecutionProvider"


class OnnxSession:
    """A loaded graph; `run` may be called from several threads at once.

    Args:
        path: the file.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        threads: of the CPU, default as many as the process may use.
        gpu_memory_limit: bytes that ONNX Runtime's arena may take on the GPU.

    Raises:
        ModelError: the file is not ONNX, or the device has no such name.
        MissingDependencyError: ONNX Runtime has no support for the device here.
        CrnnError: a memory limit that is not positive, or for the CPU.
    """

    def __init__(
        self,
        path: Path,
        device: str = "cpu",
        threads: int | None = None,
        gpu_memory_limit: int | None = None,
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
        self._session: ort.InferenceSession | None = _open(
            path, device, self._gpu, threads or available_cpus(), gpu_memory_limit
        )

    @property
    def graph(self) -> Any:  # noqa: ANN401 (ONNX Runtime has no types)
        """The session itself, to ask for inputs, outputs and metadata.

        Raises:
            ModelError: it was closed.
        """
        if self._session is None:
            raise ModelError(f"{self._path}: the model is closed, open it again")
        return self._session

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata that the file's maker wrote into it, name to value."""
        found: Mapping[str, str] = self.graph.get_modelmeta().custom_metadata_map
        return found

    def run(
        self, name: str, outputs: Sequence[str], images: NDArray[np.float32]
    ) -> list[NDArray[Any]]:
        """(name of the input, names of the outputs, images) → outputs.

        Raises:
            ModelError: it was closed.
            CrnnError: a GPU cannot compute them, for want of memory as a rule.
        """
        session = self.graph
        if self._gpu is None:
            results: list[NDArray[Any]] = session.run(outputs, {name: images})
            return results
        return onnx_cuda.run_bound(session, outputs, images, name)

    def close(self) -> None:
        """Release the memory; a second call does nothing."""
        self._session = None


class OnnxRuntimeBackend(Backend):
    """An ONNX file that reads lines: `crnn-export` wrote it, or a model card describes it.

    Args:
        path: see `OnnxSession`, as are device, threads and gpu_memory_limit.
        card: of a file that has none inside: a JSON file's path or a card. PP-OCR's
            recognition models need none, see `crnn_runtime.model.foreign_card`.
        alphabet: of such a file, where its card has none.

    Raises:
        ModelError: see `OnnxSession`; or the file has no model card, or disagrees with it.
        MissingDependencyError, CrnnError: see `OnnxSession`.
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
        metadata = self._session.metadata
        try:
            if METADATA_KEY not in metadata:
                self._foreign, self.card = onnx_foreign.open_foreign(
                    self._session, path, card, alphabet
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

    def infer(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """(N, C, H, W) → outputs by name, batch first."""
        if self._foreign is not None:
            return self._foreign.infer(images, self.card.blank)
        results = self._session.run(INPUT_NAME, self._outputs, images)
        return dict(zip(self._outputs, results, strict=True))

    def close(self) -> None:
        """Release the model's memory; a second call does nothing."""
        self._session.close()


def session_options(threads: int) -> ort.SessionOptions:
    """Returns the options with which every session is opened."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; they come back as exceptions as well
    return options


def _open(
    path: Path, device: str, gpu: int | None, threads: int, memory_limit: int | None
) -> ort.InferenceSession:
    provider = CPU_PROVIDER if gpu is None else onnx_cuda.PROVIDER
    missing = f"device {device} is not available to ONNX Runtime"
    if provider not in ort.get_available_providers():
        raise MissingDependencyError(
            f"{missing}: pip uninstall onnxruntime, then {install_command('gpu')}"
        )
    settings: dict[str, str] = {}
    if gpu is not None:
        settings = onnx_cuda.cuda_options(gpu, memory_limit)
        onnx_cuda.preload_cuda()
    try:
        data = self_contained(path)
        # Its transformer to blocked layouts ends the process on a float16 LSTM, which
        # int8 files have, too. The card, which says the precision, is part of the text.
        is_reduced = b'"precision": "fp32"' not in data
        unsafe = ["NchwcTransformer"] if is_reduced and b"LSTM" in data else []
        session = ort.InferenceSession(
            data,
            session_options(threads),
            providers=[(provider, settings)],
            disabled_optimizers=unsafe,
            enable_fallback=0,  # else it prints, and runs on another device
        )
    except ModelError:
        raise
    except Exception as error:  # the library's exceptions share no base class
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{path}: ONNX Runtime cannot load it: {reason}") from error
    # Without this check a driver that is missing means the CPU, silently.
    if provider not in session.get_providers():
        raise MissingDependencyError(f"{missing}: no working GPU, driver, CUDA and cuDNN 9")
    return session


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
    check_classes(path, card)
