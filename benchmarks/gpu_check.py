"""Everything that only an NVIDIA GPU can tell, checked, measured and written down.

    python -m crnn_benchmarks.gpu_check

Runs the tests marked ``gpu``, builds engines of ``examples/digits.pth`` in three
precisions, compares what they read with the ONNX file on the CPU, times them, and
writes ``docs/gpu-report.md``. Without a GPU it says so, exits with 2 and writes nothing.

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
"""

import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from crnn_benchmarks.gpu_report import Reading, Report, Timing, to_markdown
from crnn_runtime.backends import Backend, open_backend
from crnn_runtime.backends.cuda_device import (
    call,
    capability,
    device_count,
    device_name,
)
from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.files import write_atomically
from crnn_runtime.recognizer import Recognizer

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "examples" / "digits.pth"
PRECISIONS = ("fp32", "fp16", "int8")
SHAPES = tuple((batch, width) for width in (64, 320, 1024, 2048) for batch in (1, 8, 64))
LEAST_EQUAL = 0.999
"""Share of lines that a float32 engine must read as the ONNX file does."""

_SEED = 7_000_003  # of lines that neither training nor a test has drawn
_CALIBRATION = 200
_PACKAGES = (
    "crnn", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-cu13",
    "tensorrt-cu12", "tensorrt-rtx-cu13", "cuda-bindings", "numpy",
)  # fmt: skip

Image = NDArray[np.uint8]


@click.command(cls=Command)
@click.option("--lines", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--flavour", default="auto", show_default=True, help="auto, tensorrt or rtx.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=ROOT / "docs" / "gpu-report.md",
    show_default="docs/gpu-report.md",
)
@click.pass_context
def main(ctx: click.Context, lines: int, flavour: str, out: Path) -> None:
    """Check all that needs an NVIDIA GPU and write a report.

    Exit status: 0 all is well, 1 something failed (the report says what), 2 no GPU.
    """
    if device_count() == 0:
        raise MissingDependencyError(
            "no NVIDIA GPU can be used here: nothing was checked, nothing written"
        )
    tests_passed, tests = run_tests()
    samples = draw_lines(lines + _CALIBRATION)
    with tempfile.TemporaryDirectory() as folder:
        models = dict(make_models(Path(folder), flavour, samples[lines:]))
        readings, timings = measure(models, samples[:lines])
    report = Report(environment(), tests, readings, timings)
    write_atomically(out, lambda part: part.write_text(to_markdown(report), "utf-8"))
    click.echo(f"Wrote {out}")
    if not (tests_passed and is_good(readings)):
        ctx.exit(1)


def is_good(readings: Sequence[Reading]) -> bool:
    """Whether every engine reads, and the float32 one as the ONNX file does.

    ONNX Runtime on the GPU is an extra of its own and may be missing.
    """
    engines = {reading.name: reading for reading in readings if reading.name.startswith("engine")}
    exact = engines["engine fp32"]
    return all(e.lines for e in engines.values()) and exact.equal >= LEAST_EQUAL * exact.lines


def run_tests() -> tuple[bool, str]:
    """Run the tests marked ``gpu``: whether they passed, and pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests"]
    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    click.echo(result.stdout)
    said = (result.stdout.strip() or result.stderr.strip()).splitlines()
    return result.returncode == 0, said[-1].strip("= ") if said else "no output"


def draw_lines(count: int) -> list[tuple[Image, str]]:
    """Fresh lines of the kind that the shipped reader was trained for, and their texts."""
    from crnn.recipes import load_recipe  # noqa: PLC0415
    from crnn.synth import Synthesizer  # noqa: PLC0415

    synthesizer = Synthesizer("digits", seed=_SEED, **load_recipe("digits")["synth_options"])
    samples = (synthesizer.line(index) for index in range(count))
    return [(np.asarray(sample.image), sample.text) for sample in samples]


def make_models(
    folder: Path, flavour: str, calibration: Sequence[tuple[Image, str]]
) -> Iterator[tuple[str, tuple[Path, str | None, str]]]:
    """Name of a model → its file, its device and a note; device None: it could not be made."""
    from crnn.checkpoint import load_model  # noqa: PLC0415
    from crnn_export.precision import convert_precision  # noqa: PLC0415
    from crnn_export.to_onnx import export_onnx  # noqa: PLC0415
    from crnn_export.trt import build_engine  # noqa: PLC0415
    from crnn_runtime.image import load_image  # noqa: PLC0415
    from crnn_runtime.preprocess import resize_line  # noqa: PLC0415

    source = folder / "fp32.onnx"
    model, card = load_model(CHECKPOINT)
    card, _ = export_onnx(model, card, source, checkpoint=CHECKPOINT)
    yield "ONNX fp32, CPU", (source, "cpu", "the reference")
    yield "ONNX fp32, CUDA", (source, "cuda", "ONNX Runtime")
    pixels = [resize_line(load_image(image, card.color), card) for image, _ in calibration]
    texts = [text for _, text in calibration]
    for precision in PRECISIONS:
        graph, engine = folder / f"{precision}.onnx", folder / f"{precision}.trt"
        try:
            if precision != "fp32":
                convert_precision(source, graph, precision, lines=pixels, truths=texts)
            info = build_engine(graph, engine, flavour=flavour)
        except CrnnError as error:
            yield f"engine {precision}", (engine, None, str(error))
            continue
        record = info.record
        note = (
            f"{record.built_with}, {record.precision} by its {record.evidence}, "
            f"{record.size / 1e6:.1f} MB, built in {info.seconds:.1f} s"
        )
        yield f"engine {precision}", (engine, "cuda", note)


def measure(
    models: dict[str, tuple[Path, str | None, str]],
    samples: Sequence[tuple[Image, str]],
    *,
    shapes: Sequence[tuple[int, int]] = SHAPES,
    seconds: float = 1.0,
) -> tuple[list[Reading], list[Timing]]:
    """Let every model read the lines and time it; the first one is the reference."""
    images, truths = [image for image, _ in samples], [text for _, text in samples]
    reference: list[str] | None = None
    readings: list[Reading] = []
    timings: list[Timing] = []
    for name, (path, device, note) in models.items():
        click.echo(name)
        if device is None:
            readings.append(Reading(name, note=note))
            continue
        try:
            with Recognizer(path, device) as recognizer:
                texts = [line.text for line in recognizer.read(images)]
            if device != "cpu":
                with open_backend(path, device) as backend:
                    timings += time_shapes(name, backend, shapes, seconds)
        except CrnnError as error:
            readings.append(Reading(name, note=str(error)))
            continue
        reference = reference or texts
        equal, right = _same(texts, reference), _same(texts, truths)
        readings.append(Reading(name, len(texts), equal, right, note))
    return readings, timings


def time_shapes(
    name: str, backend: Backend, shapes: Sequence[tuple[int, int]], seconds: float
) -> Iterator[Timing]:
    """Time ``infer`` for each (batch, width), about ``seconds`` long and 10 calls at least."""
    card = backend.card
    for batch, width in shapes:
        images = np.random.default_rng(0).standard_normal(
            (batch, card.channels, card.height, width), np.float32
        )
        for _ in range(3):  # kernels are chosen and graphs captured
            backend.infer(images)
        taken: list[float] = []
        while len(taken) < 10 or sum(taken) < seconds:
            start = time.perf_counter()
            backend.infer(images)
            taken.append(time.perf_counter() - start)
        p50, p95 = np.percentile(taken, (50, 95)).tolist()
        yield Timing(name, batch, width, len(taken), p50, p95)


def environment() -> dict[str, str]:
    """The machine, its GPU and every version that matters."""
    found: dict[str, str] = {}
    if device_count():
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


def _same(some: Sequence[str], others: Sequence[str]) -> int:
    return sum(a == b for a, b in zip(some, others, strict=True))


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
