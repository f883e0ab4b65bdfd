"""Everything that only an NVIDIA GPU can tell, checked, measured and written down.

    python -m tools.gpu_check

Runs the tests marked ``gpu``, builds engines of ``examples/digits.pth`` in three
precisions, compares what they read with the ONNX file on the CPU, times them, and
writes ``docs/gpu-report.md``. Without a GPU it says so, exits with 2 and writes nothing.

The report is written anew after every step, so that a check which is stopped, or ended
by a crash in a driver, leaves what it found. A piece that is missing (TensorRT, ONNX
Runtime for the GPU, a test's package) or that refuses this GPU is a line in the report;
the rest is measured all the same. It ends by itself after ``--minutes``.

It needs no package registry. For a machine that has Python and PyTorch only, make a
folder of wheels where there is a registry (same Python, same platform), and copy it
with the repository::

    pip wheel --wheel-dir wheels ".[dev]" setuptools
    rm -f wheels/torch-* wheels/triton-* wheels/crnn-*     # PyTorch is there already

For TensorRT itself in place of TensorRT for RTX add its wheels (``tensorrt_cu13``,
``tensorrt_cu13_libs``, ``tensorrt_cu13_bindings``, from NVIDIA's index); for ONNX Runtime
on the GPU take ``.[gpu]`` and leave the wheel ``onnxruntime`` out. There::

    python -m venv --system-site-packages .venv
    .venv/bin/pip install --no-index --find-links wheels setuptools
    .venv/bin/pip install --no-index --find-links wheels --no-build-isolation -e ".[dev]"
    make gpu-check

Where nothing may be installed, ``make gpu-check PYTHON=python3`` takes the packages that
are there, and says of the others that they are missing.
"""

import dataclasses
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from crnn_runtime.backends.cuda_device import (
    call,
    capability,
    cuda,
    device_count,
    device_name,
)
from crnn_runtime.cli.console import Command
from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.files import write_atomically
from tools.gpu_models import draw_samples, list_candidates, measure
from tools.gpu_report import Reading, Report, to_markdown

ROOT = Path(__file__).resolve().parents[1]
LEAST_EQUAL = 0.999
"""Share of lines that a float32 engine must read as the ONNX file does."""

_PACKAGES = (
    "crnn", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-cu13",
    "tensorrt-cu12", "tensorrt-rtx-cu13", "cuda-bindings", "numpy",
)  # fmt: skip

_LEAST_SECONDS = 5.0  # tests need that to be collected


@click.command(cls=Command)
@click.option("--lines", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--flavour", default="auto", show_default=True, help="auto, tensorrt or rtx.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0),
    default=7.0,
    show_default=True,
    help="What is not begun by then is left out.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=ROOT / "docs" / "gpu-report.md",
    show_default="docs/gpu-report.md",
)
@click.pass_context
def main(ctx: click.Context, lines: int, flavour: str, minutes: float, out: Path) -> None:
    """Check all that needs an NVIDIA GPU and write a report.

    Exit status: 0 all is well, 1 something failed (the report says what), 2 no GPU.
    """
    cuda()  # where it is missing, that is the reason and not the GPU
    if device_count() == 0:
        raise MissingDependencyError(
            "no NVIDIA GPU can be used here: nothing was checked, nothing written"
        )
    started = time.monotonic()
    deadline = started + 60 * minutes
    report = Report(environment())

    def save(**changes: Any) -> None:  # noqa: ANN401
        nonlocal report
        report = dataclasses.replace(report, **changes)
        write_atomically(out, lambda part: part.write_text(to_markdown(report), "utf-8"))

    quick, said = run_tests("gpu and not slow", started + 0.4 * (deadline - started))
    save(tests={"gpu and not slow": said})
    samples, calibration, words = draw_samples(lines)
    with tempfile.TemporaryDirectory() as folder:
        candidates = list_candidates(Path(folder), flavour, calibration, deadline)
        save(lines=words)
        readings = measure(
            candidates,
            samples,
            deadline=deadline,
            tell=lambda found, times: save(readings=found, timings=times),
        )[0]
    slow, said = run_tests("gpu and slow", deadline)
    save(tests={**report.tests, "gpu and slow": said})
    click.echo(f"Wrote {out}")
    if quick is False or slow is False or not is_good(readings):
        ctx.exit(1)


def is_good(readings: Sequence[Reading]) -> bool:
    """Whether every engine reads, and the float32 one as the ONNX file does.

    ONNX Runtime on the GPU is an extra of its own and may be missing.
    """
    engines = {reading.name: reading for reading in readings if reading.name.startswith("engine")}
    exact = engines["engine fp32"]
    return all(e.lines for e in engines.values()) and exact.equal >= LEAST_EQUAL * exact.lines


def run_tests(markers: str, deadline: float) -> tuple[bool | None, str]:
    """Run the tests with these markers: whether they passed, and pytest's last line.

    None where the time did not suffice, which is no failure.
    """
    left = deadline - time.monotonic()
    if left < _LEAST_SECONDS:
        return None, "left out: the time is up"
    options = ["-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", *options, "-m", markers, "tests"]
    try:
        result = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=left
        )
    except subprocess.TimeoutExpired:
        return None, f"not finished within {left:.0f} s"
    click.echo(result.stdout)
    said = (result.stdout.strip() or result.stderr.strip()).splitlines()
    return result.returncode == 0, said[-1].strip("= ") if said else "no output"


def environment() -> dict[str, str]:
    """The machine, its GPU and every version that matters."""
    found: dict[str, str] = {}
    if device_count():
        with suppress(CrnnError):
            found["GPU"] = f"{device_name(0)}, compute capability {capability(0) / 10:.1f}"
            found["CUDA of the driver"] = _cuda_version(call("cudaDriverGetVersion"))
        query = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        found["driver"] = _said(*query).partition("\n")[0]
    found["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
    found["commit"] = _said("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    found["date"] = time.strftime("%Y-%m-%d", time.gmtime())
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cuda_version(number: int) -> str:
    """13020 → 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _said(*command: str) -> str:
    """What a program prints; ``unknown`` where it is missing or fails."""
    try:
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
