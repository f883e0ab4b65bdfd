"""Pictures, and a real server where one can be had."""

import functools
from pathlib import Path

import pytest

from crnn_benchmarks.triton_server import install
from crnn_runtime.errors import CrnnError

LINES = Path(__file__).parents[3] / "examples" / "lines"


@functools.cache
def why_not() -> str:
    try:
        install()
    except CrnnError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def triton() -> None:
    """Skips where there is no Triton Inference Server."""
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    return [path.read_bytes() for path in sorted(LINES.glob("*.png"))]
