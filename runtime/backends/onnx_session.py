"""An ONNX file opened in ONNX Runtime, on the CPU or an NVIDIA GPU, whatever it computes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends.cuda_device import device_index
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError, MissingDependencyError, ModelError, install_command
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
        """What the file's maker wrote into it."""
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


def session_options(threads: int) -> ort.SessionOptions:
    """How every session is opened."""
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
