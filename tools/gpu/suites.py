"""The tests that need a GPU, file by file, so that a missing package hides none of the others."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools.gpu.pieces import Piece

ROOT = Path(__file__).resolve().parents[2]
_LEAST_SECONDS = 5.0  # tests need that to be collected


@dataclass(frozen=True)
class Suite:
    """Tests that need the same pieces.

    Attributes:
        name: in the report.
        files: from the repository's root.
        needs: pieces without which they are not begun.
        markers: which of the tests in them.
    """

    name: str
    files: tuple[str, ...]
    needs: tuple[Piece, ...] = ()
    markers: str = "gpu and not slow"


_TENSORRT = "tests/runtime/backends/tensorrt"
SUITES = (
    Suite("CUDA without TensorRT", (f"{_TENSORRT}/test_cuda_lane.py",), ("tests",)),
    Suite(
        "engines",
        (f"{_TENSORRT}/test_real_engine.py", "tests/export/trt/test_architectures.py"),
        ("tests", "TensorRT", "ONNX Runtime", "export", "reduction"),
    ),
    Suite(
        "ONNX Runtime on the GPU",
        ("tests/runtime/backends/test_onnx_cuda.py",),
        ("tests", "ONNX Runtime CUDA", "export"),
    ),
)
SLOW_SUITES = (
    Suite(
        "engines of every architecture",
        ("tests/export/trt/test_architectures.py",),
        ("tests", "TensorRT", "ONNX Runtime", "export", "reduction"),
        "gpu and slow",
    ),
)


def run_suite(suite: Suite, log: Path, deadline: float) -> tuple[bool | None, str]:
    """Run the tests of a suite: whether they passed, and pytest's last line.

    None where the time did not suffice, which is no failure.

    Args:
        suite: the tests.
        log: file to which pytest's output is added as it comes.
        deadline: on the clock of `time.monotonic`.
    """
    left = deadline - time.monotonic()
    if left < _LEAST_SECONDS:
        return None, "left out: the time is up"
    options = ["-v", "-p", "no:cacheprovider", "-m", suite.markers]
    command = [sys.executable, "-m", "pytest", *options, *suite.files]
    log.parent.mkdir(parents=True, exist_ok=True)
    begin = log.stat().st_size if log.exists() else 0
    with log.open("ab") as file:
        file.write(f"\n$ {' '.join(command)}\n".encode())
        file.flush()
        try:
            result = subprocess.run(
                command, cwd=ROOT, check=False, stdout=file, stderr=file, timeout=left
            )
        except subprocess.TimeoutExpired:
            return None, f"not finished within {left:.0f} s, see {log}"
    with log.open("rb") as file:
        file.seek(begin)
        said = file.read().decode("utf-8", "replace").strip().splitlines()
    if result.returncode == 5:  # pytest's word for "no test was selected"
        return False, f"no test was found, see {log}"
    return result.returncode == 0, said[-1].strip("= ")
