"""Marks tests that need an NVIDIA GPU: skipped, with the reason, where there is none.

Those that run an engine also need a TensorRT that serves the GPU: TensorRT for RTX names
the GPUs that it supports, and data-centre cards of capability 9.0 are not among them.
"""

from collections.abc import Callable
from typing import Any

import pytest

from crnn_runtime.backends.cuda_device import device_count
from tools.gpu.pieces import why_no_engine

_missing = pytest.mark.skipif(device_count() == 0, reason="no NVIDIA GPU can be used here")


GPU_MARKS = (pytest.mark.gpu, _missing)
"""The marks of `needs_gpu`, for a single parameter."""


_reason = why_no_engine()
_no_tensorrt = pytest.mark.skipif(bool(_reason), reason=_reason or "none")


def needs_engine(test: Callable[..., Any]) -> Callable[..., Any]:
    """As `needs_gpu`, of a test that runs an engine."""
    return pytest.mark.gpu(_no_tensorrt(test))  # type: ignore[no-any-return]


def needs_gpu(test: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a test with the marker ``gpu`` and the skip."""
    return pytest.mark.gpu(_missing(test))  # type: ignore[no-any-return]
