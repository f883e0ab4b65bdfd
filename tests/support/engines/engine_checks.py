"""Batches for an engine, and a comparison of what it gives with the ONNX file."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_runtime import CrnnError
from crnn_runtime.backends import Backend, open_backend
from crnn_runtime.model.engine_file import Profile, Range

ONE = Profile(Range(1, 1, 1), Range(32, 320, 512))
MANY = Profile(Range(2, 4, 8), Range(64, 128, 256))
PROFILES = (ONE, MANY)
WIDE = (Profile(Range(1, 8, 64), Range(32, 320, 2048)),)


def refusal(function: Callable[..., object], *arguments: object) -> str:
    """The one line that a call is refused with; its traceback, which holds objects, is let go."""
    try:
        function(*arguments)
    except CrnnError as error:
        message = str(error)
        assert "\n" not in message
        return message
    raise AssertionError("it was not refused")


def noise(batch: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """(batch, 1, 32, width) of random values."""
    return np.random.default_rng(seed).random((batch, 1, 32, width), np.float32)


def expect(onnx_file: Path, images: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
    """Returns ONNX Runtime's outputs."""
    return _reference(onnx_file).infer(images)


@lru_cache(maxsize=4)
def _reference(onnx_file: Path) -> Backend:
    return open_backend(onnx_file, threads=1)


def check(
    outputs: dict[str, NDArray[np.generic]], onnx_file: Path, images: NDArray[np.float32]
) -> None:
    """Fail unless the outputs are those of the ONNX file."""
    expected = expect(onnx_file, images)
    assert outputs.keys() == expected.keys()
    for name, values in expected.items():
        steps = values.shape[1]  # padding to the profile's width gives more
        assert outputs[name].dtype == values.dtype
        assert len(outputs[name]) == len(values)
        np.testing.assert_allclose(outputs[name][:, :steps], values, rtol=1e-5)
