"""Everything that only an NVIDIA GPU can tell, checked, measured and written down.

    python -m tools.gpu.check

First of all a lane is tested on CUDA alone, which needs no TensorRT. Then come the tests of
engines, the five measurements of the first minutes (`tools.gpu.first`), engines of
``examples/digits.pth`` in three precisions against the ONNX file on the CPU, and times.
Writes ``docs/gpu-report.md``. Without a GPU it says why, exits with 2 and writes nothing.

The report is written anew after every step, so that a check which is stopped, or ended
by a crash in a driver, leaves what it found; what the tests print goes to a log as it
comes. A piece that is missing (TensorRT, ONNX Runtime for the GPU, a package) is named
once, with what it is needed for; the rest is done all the same. Python and cuda-bindings,
which PyTorch brings, are enough to be told that. It ends by itself after ``--minutes``.

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

import argparse
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

from crnn_runtime.backends.cuda_device import (
    call,
    capability,
    cuda,
    cuda_version_text,
    device_count,
    device_name,
    why_no_gpu,
)
from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.engine_file import FLAVOURS
from tools.gpu.pieces import NEEDED_FOR, Piece, find_missing
from tools.gpu.report import Reading, Report, say, to_markdown
from tools.gpu.suites import ROOT, SLOW_SUITES, SUITES, Suite, run_suite

LEAST_EQUAL = 0.999
"""Share of lines that a float32 engine must read as the ONNX file does."""

_NEEDED: frozenset[Piece] = frozenset({"ONNX Runtime", "export"})
_ENGINES_OR_FILES: frozenset[Piece] = frozenset({"TensorRT", "ONNX Runtime CUDA"})

OPTIONAL: frozenset[Piece] = frozenset({"ONNX Runtime CUDA", "PyTorch CUDA"})
"""Pieces that exclude others or serve a comparison: without them the check may be good."""

_PACKAGES = (
    "crnn", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-cu13",
    "tensorrt-cu12", "tensorrt-rtx-cu13", "cuda-bindings", "numpy",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Check all that needs an NVIDIA GPU and write a report.

    Returns:
        the exit status: 0 all is well, 1 something failed or is missing (the report says
        what), 2 no GPU.
    """
    options = _parse(arguments)
    try:
        cuda()  # where it is missing, that is the reason and not the GPU
        if problem := why_no_gpu():
            raise MissingDependencyError(
                f"no NVIDIA GPU can be used here: {problem}; nothing was checked, nothing written"
            )
        deadline = time.monotonic() + 60 * options.minutes
        check = _Check(options.out, options.log, deadline)
        check.run_suites(SUITES, share=0.4)
        readings = check.measure(options.lines, options.flavour, first=options.first)
        if not options.first:
            check.run_suites(SLOW_SUITES, share=1.0)
    except CrnnError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - the output of a command
        return 2
    except KeyboardInterrupt:
        print("Interrupted: the report has what was found", file=sys.stderr)  # noqa: T201
        return 130
    say(f"Wrote {options.out}")
    good = not (check.missing.keys() - OPTIONAL or check.has_failed)
    return 0 if good and (options.first or is_good(readings)) else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; by the standard library, because a bare machine has no other."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.gpu.check",
        description="Check all that needs an NVIDIA GPU and write a report.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--lines", type=int, default=2000, help="lines to read")
    parser.add_argument("--flavour", default="auto", choices=("auto", *FLAVOURS), help="of engines")
    parser.add_argument("--minutes", type=float, default=7.0, help="no step is begun after that")
    parser.add_argument(
        "--first", action="store_true", help="the measurements of the first minutes, and no more"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "gpu-report.md", help="report")
    parser.add_argument(
        "--log",
        type=Path,
        default=ROOT / "build" / "gpu-check.log",
        help="takes what the tests print, as it comes",
    )
    options = parser.parse_args(arguments)
    if options.lines < 1 or options.minutes < 0:
        parser.error("--lines must be 1 or more, --minutes 0 or more")
    return options


class _Check:
    """A check that is under way: its report is written after every step."""

    def __init__(self, out: Path, log: Path, deadline: float) -> None:
        self.missing: dict[Piece, str] = find_missing()
        self.has_failed = False
        self._out, self._log = out, log
        self._begun, self._deadline = time.monotonic(), deadline
        self._report = Report(
            environment(),
            {piece: (why, NEEDED_FOR[piece]) for piece, why in self.missing.items()},
        )
        self.save()

    def save(self, **changes: Any) -> None:  # noqa: ANN401
        """Write the report with some changes."""
        self._report = dataclasses.replace(self._report, **changes)
        text = to_markdown(self._report)
        write_atomically(self._out, lambda part: part.write_text(text, "utf-8"))

    def run_suites(self, suites: Sequence[Suite], share: float) -> None:
        """Run tests within a share of the time; those that lack a piece are not begun."""
        until = self._begun + share * (self._deadline - self._begun)
        for suite in suites:
            if any(piece in self.missing for piece in suite.needs):
                continue  # it is named already, with what it is needed for
            say(suite.name)
            good, said = run_suite(suite, self._log, until)
            self.has_failed |= good is False
            self.save(tests={**self._report.tests, suite.name: said})

    def measure(self, lines: int, flavour: str, *, first: bool) -> Sequence[Reading]:
        """The first minutes' measurements, then texts and times of every model.

        Nothing where a piece that all of them need is missing: it is named already.
        """
        if not _NEEDED.isdisjoint(self.missing) or self.missing.keys() >= _ENGINES_OR_FILES:
            return ()
        from tools.gpu.first import measure_first  # noqa: PLC0415
        from tools.gpu.models import (  # noqa: PLC0415
            draw_samples,
            list_candidates,
            make_first,
            measure,
        )

        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if "TensorRT" not in self.missing:
                say("The first minutes")
                try:
                    engine, source = make_first(folder, flavour, self._deadline)
                except Exception as error:  # the rest is measured all the same
                    words = " ".join(f"{type(error).__name__}: {error}".split())
                    self.save(problems=(("the engine of the first minutes", words),))
                    self.has_failed = True
                else:
                    found = measure_first(
                        engine, source, lambda each: self.save(first=each), self._deadline
                    )
                    self.has_failed |= bool(found.problems) or "FAILED" in found.threads
            if first:
                return ()
            samples, calibration, words = draw_samples(lines)
            candidates = list_candidates(
                folder, flavour, calibration, self._deadline, frozenset(self.missing)
            )
            self.save(lines=words)
            return measure(
                candidates,
                samples,
                deadline=self._deadline,
                tell=lambda found, times: self.save(readings=found, timings=times),
            )[0]


def is_good(readings: Sequence[Reading]) -> bool:
    """Whether every engine reads, and the float32 one as the ONNX file does.

    ONNX Runtime on the GPU is an extra of its own and may be missing. Engines that the GPU
    cannot run count for nothing, but one must read.
    """
    engines = {reading.name: reading for reading in readings if reading.name.startswith("engine")}
    exact = engines.get("engine fp32", Reading("engine fp32"))
    possible = [engine for engine in engines.values() if engine.possible]
    return (
        bool(possible)
        and all(engine.lines for engine in possible)
        and not (exact.possible and exact.equal < LEAST_EQUAL * max(exact.lines, 1))
    )


def environment() -> dict[str, str]:
    """The machine, its GPU and every version that matters."""
    found: dict[str, str] = {}
    if device_count():
        with suppress(CrnnError):
            found["GPU"] = f"{device_name(0)}, compute capability {capability(0) / 10:.1f}"
            found["CUDA of the driver"] = cuda_version_text(call("cudaDriverGetVersion"))
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


def _said(*command: str) -> str:
    """Returns the output of a program; ``unknown`` if it is missing or fails."""
    try:
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
