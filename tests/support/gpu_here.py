"""Marks tests that need an NVIDIA GPU: skipped, with the reason, where there is none."""

from collections.abc import Callable
from typing import Any

import pytest

from crnn_runtime.backends.cuda_device import device_count

_missing = pytest.mark.skipif(device_count() == 0, reason="no NVIDIA GPU can be used here")


def needs_gpu(test: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a test with the marker ``gpu`` and the skip."""
    return pytest.mark.gpu(_missing(test))  # type: ignore[no-any-return]
