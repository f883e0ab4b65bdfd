"""The first five minutes on a GPU: what an engine costs and whether it holds.

Five measurements, each of what could only be estimated without a GPU: tests (`suites`), the
cost of a context, the first calls of a shape, mixed traffic, several threads and a clean exit.
"""

import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import OUTPUT_NAMES, Backend
from crnn_runtime.backends.cuda_device import call, on_device
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
from crnn_runtime.backends.tensorrt.engine import load_engine
from crnn_runtime.decode.decoding import Decoding, open_decoder
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.engine_file import read_engine
from crnn_runtime.pipeline import Pipeline
from crnn_runtime.stream import LineStream
from tools.gpu.results import SINGLE_CALLS, ContextCost, First, ShapeTimes, Traffic
from tools.gpu.suites import ROOT

READS, LINES = 40, 1397
"""The mixed traffic: number of requests, and of lines in all."""
SHAPES = ((1, 64), (1, 320), (8, 320), (64, 320), (8, 2048))
"""(batch, width) whose first calls are timed."""


def context_costs(engine: Path, count: int = 4) -> list[ContextCost]:
    """Make several contexts of an engine, one after the other, and keep them.

    Raises:
        CrnnError: the engine cannot be used.
    """
    card, record = read_engine(engine)
    outputs = OUTPUT_NAMES[card.head]
    loaded = load_engine(engine, engine.read_bytes(), record, "cuda", outputs)
    costs, kept = [], []
    with on_device(loaded.device):
        for _ in range(count):
            free, host = call("cudaMemGetInfo")[0], _host_bytes()
            start = time.perf_counter()
            kept.append(loaded.create_context())
            seconds = time.perf_counter() - start
            taken = free - call("cudaMemGetInfo")[0]
            costs.append(ContextCost(seconds, int(taken), _host_bytes() - host))
    return costs


def shape_times(
    backend: Backend, shapes: Sequence[tuple[int, int]], later: int = 50
) -> list[ShapeTimes]:
    """Time the first calls of shapes that the backend has not seen, and later ones."""
    found = []
    for batch, width in shapes:
        images = random_lines(backend, batch, width)
        first = tuple(_timed(backend, images) for _ in range(SINGLE_CALLS))
        median = statistics.median(_timed(backend, images) for _ in range(later))
        found.append(ShapeTimes(batch, width, first, median))
    return found


def mixed_traffic(backend: TensorRTBackend) -> Traffic:
    """Let an engine read `requests`, one after the other, as `Recognizer.read` does."""
    decoder = open_decoder(Decoding(), backend.card)
    pipeline = Pipeline(
        backend=backend, decoder=decoder, errors="raise", batch_size="auto", on_gpu=True
    )
    lines, start = 0, time.perf_counter()
    for images in requests():
        lines += sum(1 for _ in LineStream(iter(images), pipeline, workers=0).lines())
    return Traffic(lines, time.perf_counter() - start, tuple(backend.contexts))


def requests() -> Iterator[list[NDArray[np.uint8]]]:
    """The lines of `READS` requests, 1 to some hundred each, gray, of all widths, always the same.

    Requests as a server gets them: `LINES` lines of widths as those of text lines.
    """
    random = np.random.default_rng(18)
    cuts = np.sort(random.choice(np.arange(1, LINES), READS - 1, replace=False))
    for count in np.diff([0, *cuts, LINES]):
        widths = np.clip(random.lognormal(5.6, 0.7, count), 24, 2000).astype(int)
        yield [random.integers(0, 256, (32, width), np.uint8) for width in widths]


def read_in_threads(engine: Path, onnx_file: Path, seconds: float = 60) -> str:
    """Let a process of its own read with several threads and end: what it said, in one line."""
    command = [sys.executable, "-m", "tools.gpu.threads", str(engine), str(onnx_file)]
    try:
        result = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return f"FAILED: it did not end within {seconds:.0f} s"
    if result.returncode:
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()
        return f"FAILED with exit status {result.returncode}: {said[-1] if said else 'no word'}"
    return result.stdout.strip().splitlines()[-1]


def measure_first(
    engine: Path,
    onnx_file: Path,
    tell: Callable[[First], object] = lambda _: None,
    deadline: float = math.inf,
) -> First:
    """All but the tests, each told as soon as it is known; a failure is a line of its own.

    None is begun after the deadline, on the clock of `time.monotonic`.
    """
    found = First()
    problems: list[tuple[str, str]] = []

    def step(name: str, make: Callable[[First], First]) -> None:
        nonlocal found
        try:
            stop_after(deadline)
            found = make(found)
        except Exception as error:  # whatever one measurement does, the others are made
            problems.append((name, " ".join(f"{type(error).__name__}: {error}".split())))
        found = replace(found, problems=tuple(problems))
        tell(found)

    def timed(before: First) -> First:
        with TensorRTBackend(engine) as backend:
            return replace(before, shapes=tuple(shape_times(backend, SHAPES)))

    def driven(before: First) -> First:
        with TensorRTBackend(engine) as backend:
            return replace(before, traffic=tuple(mixed_traffic(backend) for _ in range(2)))

    step("cost of a context", lambda before: replace(before, contexts=context_costs(engine)))
    step("first calls", timed)
    step("mixed traffic", driven)
    step("threads", lambda before: replace(before, threads=read_in_threads(engine, onnx_file)))
    return found


def stop_after(deadline: float) -> None:
    """Raise where the time is up, on the clock of `time.monotonic`.

    Raises:
        CrnnError: it is.
    """
    if time.monotonic() > deadline:
        raise CrnnError("left out: the time is up")


def random_lines(backend: Backend, batch: int, width: int) -> NDArray[np.float32]:
    """(batch, C, H, width) of noise, as a backend's model takes it."""
    card = backend.card
    shape = (batch, card.channels, card.height, width)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _timed(backend: Backend, images: NDArray[np.float32]) -> float:
    start = time.perf_counter()
    backend.infer(images)
    return time.perf_counter() - start


def _host_bytes() -> int:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()
