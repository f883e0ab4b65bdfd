"""CUDA through ``cuda.bindings.runtime``: devices, memory and streams, without torch."""

from functools import cache
from typing import Any

from crnn_runtime.errors import CrnnError, MissingDependencyError, install_command


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


def call(name: str, *arguments: object) -> Any:  # noqa: ANN401
    """Call a CUDA runtime function and return its result: None, one value or a tuple.

    Raises:
        CrnnError: it failed; the message gives the function and CUDA's reason.
    """
    status, *results = getattr(cuda(), name)(*arguments)
    if int(status) != 0:
        raise CrnnError(f"{name} failed: {_reason(status)}")
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


def device_index(device: str) -> int | None:
    """``cuda`` → 0, ``cuda:1`` → 1; None for what is no name of a GPU. Asks nobody."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or (":" in device and not (number.isascii() and number.isdigit())):
        return None
    return int(number or 0)


def require_device(device: str) -> int:
    """Make the device named ``cuda`` or ``cuda:1`` current for this thread.

    Asked before TensorRT is touched: without a GPU its ``Runtime`` may end the
    process.

    Returns:
        the device's index.

    Raises:
        MissingDependencyError: there is no such GPU, or no cuda-bindings.
        CrnnError: the name is not one of a GPU.
    """
    index = device_index(device)
    if index is None:
        raise CrnnError(f"a TensorRT engine runs on device cuda (or cuda:1), not on {device!r}")
    status, count = cuda().cudaGetDeviceCount()
    if int(status) != 0:
        raise MissingDependencyError(
            f"no NVIDIA GPU can be used ({_reason(status)}): TensorRT engines need one, "
            "the ONNX model runs on the CPU"
        )
    if index >= count:
        raise MissingDependencyError(f"device {device} is not there: this machine has {count} GPUs")
    call("cudaSetDevice", index)
    return index


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


def _reason(status: object) -> str:
    _, text = cuda().cudaGetErrorString(status)
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
