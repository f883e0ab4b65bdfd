"""CUDA through ``cuda.bindings.runtime``: devices, memory and streams, without torch."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

from crnn_runtime.errors import CrnnError, MissingDependencyError, install_command

logger = logging.getLogger(__name__)

_INSUFFICIENT_DRIVER = 35
LOST = {226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911}
"""Errors of which CUDA's reference says that the process must be terminated and relaunched."""


class CudaError(CrnnError):
    """A CUDA function failed.

    Attributes:
        status: CUDA's number of the error.
    """

    def __init__(self, function: str, status: object) -> None:
        self.status = int(status)  # type: ignore[call-overload]
        message = f"{function} failed: {_reason(status)}"
        if self.status in LOST:
            message += "; this process can use the GPU no more: restart it"
        super().__init__(message)


@cache
def cuda() -> Any:  # noqa: ANN401
    """The module ``cuda.bindings.runtime``.

    Raises:
        MissingDependencyError: cuda-bindings is not installed.
    """
    try:
        from cuda.bindings import runtime  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            f"cuda-bindings is not installed: {install_command('rtx')} "
            "(or the extra tensorrt in place of rtx)"
        ) from error
    return runtime


def handle(stream: object) -> int:
    """The address of a CUDA stream, for a library that is not CUDA's own bindings."""
    from cuda.bindings.utils import get_cuda_native_handle  # noqa: PLC0415

    return int(get_cuda_native_handle(stream))


def call(name: str, *arguments: object) -> Any:  # noqa: ANN401
    """Call a CUDA runtime function and return its result: None, one value or a tuple.

    Raises:
        CudaError: it failed; the message gives the function and CUDA's reason.
    """
    status, *results = getattr(cuda(), name)(*arguments)
    if int(status) != 0:
        raise CudaError(name, status)
    if not results:
        return None
    return results[0] if len(results) == 1 else tuple(results)


def device_count() -> int:
    """NVIDIA GPUs that this process can use; 0 without a driver or without cuda-bindings."""
    try:
        status, count = cuda().cudaGetDeviceCount()
    except MissingDependencyError:
        return 0
    return int(count) if int(status) == 0 else 0


def why_no_gpu() -> str:
    """Returns why no NVIDIA GPU can be used here and how to mend that, or nothing if one can be
    used.
    """
    try:
        status, count = cuda().cudaGetDeviceCount()
    except MissingDependencyError as error:
        return str(error)
    if int(status) != 0:
        return _driver_problem() if int(status) == _INSUFFICIENT_DRIVER else _reason(status)
    return "" if count else "the driver shows no device"


def device_index(device: str) -> int | None:
    """``cuda`` → 0, ``cuda:1`` → 1; None for what is no name of a GPU. Asks nobody."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or (":" in device and not (number.isascii() and number.isdigit())):
        return None
    return int(number or 0)


def require_device(device: str) -> int:
    """The index of the GPU named ``cuda`` or ``cuda:1``.

    Ask this before TensorRT is touched: without a GPU its ``Runtime`` may end the
    process.

    Raises:
        MissingDependencyError: there is no such GPU, or no cuda-bindings.
        CrnnError: the name is not one of a GPU.
    """
    index = device_index(device)
    if index is None:
        raise CrnnError(f"a TensorRT engine runs on device cuda (or cuda:1), not on {device!r}")
    cuda()  # where the bindings are missing, that is the message
    if problem := why_no_gpu():
        raise MissingDependencyError(
            f"no NVIDIA GPU can be used here: {problem}; "
            "TensorRT engines need one, the ONNX model runs on the CPU"
        )
    count = device_count()
    if index >= count:
        raise MissingDependencyError(f"device {device} is not there: this machine has {count} GPUs")
    return index


@contextmanager
def on_device(index: int) -> Iterator[None]:
    """Make a GPU the current one of this thread, and the caller's current again afterwards."""
    before = call("cudaGetDevice")
    if before != index:
        call("cudaSetDevice", index)
    try:
        yield
    finally:
        if before != index:
            call("cudaSetDevice", before)


@contextmanager
def releasing(index: int) -> Iterator[Callable[..., None]]:
    """Release what is on a GPU, also after an error of CUDA.

    Gives a function that calls others with that GPU current, whatever they raise. If
    something cannot be released, the first error is logged: the process has lost the GPU then.
    """
    errors: list[Exception] = []

    def quietly(function: Callable[..., object], *arguments: object) -> None:
        try:
            function(*arguments)
        except Exception as error:
            errors.append(error)

    device = ExitStack()
    quietly(device.enter_context, on_device(index))
    try:
        yield quietly
    finally:
        quietly(device.close)
        if errors:
            logger.warning("an engine's memory could not be released: %s", errors[0])


def capability(index: int) -> int:
    """Compute capability of a GPU: 86 for 8.6."""
    attribute = cuda().cudaDeviceAttr
    major = call("cudaDeviceGetAttribute", attribute.cudaDevAttrComputeCapabilityMajor, index)
    minor = call("cudaDeviceGetAttribute", attribute.cudaDevAttrComputeCapabilityMinor, index)
    return int(major) * 10 + int(minor)


def device_name(index: int) -> str:
    """Name of a GPU as its driver gives it."""
    name = call("cudaGetDeviceProperties", index).name
    return name.decode("utf-8", "replace").rstrip("\0") if isinstance(name, bytes) else str(name)


def cuda_versions() -> tuple[int, int]:
    """CUDA of the driver and of cuda-bindings: 13020 for 13.2; 0 where there is no driver."""
    return int(call("cudaDriverGetVersion")), int(call("cudaRuntimeGetVersion"))


def cuda_version_text(number: int) -> str:
    """13020 → ``13.2``."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _driver_problem() -> str:
    """Returns the cause of CUDA's error 35: no driver, or one that is older than cuda-bindings."""
    driver, ours = cuda_versions()
    if driver == 0:
        return "no NVIDIA driver is installed, or it does not reach this container"
    return (
        f"the NVIDIA driver serves CUDA {cuda_version_text(driver)}, cuda-bindings is for CUDA "
        f"{cuda_version_text(ours)}: install a newer driver, or (for TensorRT, not for TensorRT "
        f'for RTX) pip install "cuda-bindings < {driver // 1000 + 1}"'
    )


def _reason(status: object) -> str:
    _, text = cuda().cudaGetErrorString(status)
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
