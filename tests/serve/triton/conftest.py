"""Pictures, and a real server where one can be had."""

from pathlib import Path

import pytest
from triton_here import why_no_triton

from crnn_runtime import Line, Recognizer

LINES = Path(__file__).parents[3] / "examples" / "lines"


@pytest.fixture(scope="session")
def triton() -> None:
    """Skips where there is no Triton Inference Server."""
    if reason := why_no_triton():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def pictures() -> list[bytes]:
    return [path.read_bytes() for path in sorted(LINES.glob("*.png"))]


@pytest.fixture(scope="session")
def lines(pictures: list[bytes]) -> list[Line]:
    with Recognizer("digits", threads=1) as recognizer:
        return recognizer.read(pictures)
