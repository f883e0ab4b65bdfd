"""Marks tests that need an NVIDIA GPU: skipped, with the reason, where there is none.

Those that run an engine also need a TensorRT that serves the GPU: TensorRT for RTX names
the GPUs that it supports, and data-centre cards of capability 9.0 are not among them.
"""

from collections.abc import Callable
from typing import Any

import pytest

from crnn_runtime.backends.cuda_device import capability, device_count
from crnn_runtime.backends.tensorrt.library import is_installed
from crnn_runtime.model.engine_file import RTX_TARGETS

_missing = pytest.mark.skipif(device_count() == 0, reason="no NVIDIA GPU can be used here")


def _no_engine() -> str:
    """Why no engine can be run here; empty where one can."""
    if device_count() == 0:
        return "no NVIDIA GPU can be used here"
    if is_installed("tensorrt"):
        return ""
    here = f"sm_{capability(0)}"
    if not is_installed("rtx"):
        return "no TensorRT is installed"
    served = ", ".join(RTX_TARGETS)
    return "" if here in RTX_TARGETS else f"TensorRT for RTX serves {served}, this GPU is {here}"


_reason = _no_engine()
_no_tensorrt = pytest.mark.skipif(bool(_reason), reason=_reason or "none")


def needs_engine(test: Callable[..., Any]) -> Callable[..., Any]:
    """As `needs_gpu`, of a test that runs an engine."""
    return pytest.mark.gpu(_no_tensorrt(test))  # type: ignore[no-any-return]


def needs_gpu(test: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a test with the marker ``gpu`` and the skip."""
    return pytest.mark.gpu(_missing(test))  # type: ignore[no-any-return]
