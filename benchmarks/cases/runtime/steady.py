"""Figures of steadiness: memory, the start of a process, and the same text in any batch."""

import gc
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from crnn_benchmarks.harness.child import output_of
from crnn_benchmarks.harness.inputs import (
    architecture,
    draw_line,
    mixed_widths,
    peer_model,
    real_lines,
    small_reader,
)
from crnn_benchmarks.harness.targets import Figure, missing
from crnn_runtime import Line, Recognizer

_STARTS = 9
_CHUNK = 200
_FEW, _MANY = 2_000, 20_000
_MEGABYTE = 1_000_000
_PEER_LINES = 300  # it is slow
_NO_READER = "no reader ships with the package"


def memory_after(lines: int, model: Path, seed: int = 0) -> tuple[int, int]:
    """Bytes of this process after a tenth of ``lines`` and after all of them, widths mixed."""
    pictures = [draw_line(width, seed=n) for n, width in enumerate(mixed_widths(_CHUNK, seed=seed))]
    first = 0
    with Recognizer(model) as recognizer:
        for done in range(0, lines, _CHUNK):
            recognizer.read(pictures)
            if done + _CHUNK == lines // 10:
                first = _resident()
        return first, _resident()


def _resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def steady_memory() -> Iterator[Figure]:
    """Mixed widths through one recognizer, in a process of its own."""
    name = f"memory after {_MANY:,} lines 32 to 2,000 wide over after {_FEW:,}"
    target = "at most 1.05"
    model = small_reader()
    if model is None:
        yield missing(name, target, _NO_READER)
        return
    code = (
        "import sys, pathlib; from crnn_benchmarks.cases.runtime.steady import memory_after; "
        "print(*memory_after(int(sys.argv[1]), pathlib.Path(sys.argv[2])))"
    )
    told = output_of([sys.executable, "-c", code, str(_MANY), str(model)])
    first, last = map(int, told.split())
    shown = f"{last / first:.3f}, {last / _MEGABYTE:.0f} MB / {first / _MEGABYTE:.0f} MB"
    yield Figure(
        name=f"{model.stem}, {name}", value=shown, target=target, holds=last / first <= 1.05
    )


def cold_start() -> Iterator[Figure]:
    """``crnn-infer`` as a new process: seconds to its first text, and its peak of memory."""
    program = shutil.which("crnn-infer", path=str(Path(sys.executable).parent))
    model = small_reader()
    if program is None or model is None:
        reason = _NO_READER if model is None else "crnn-infer is not installed"
        yield missing("crnn-infer, cold start to the first text", "under 0.8 s", reason)
        yield missing("crnn-infer, peak memory", "under 150 MB", reason)
        return
    with tempfile.TemporaryDirectory() as folder:
        line = Path(folder) / "line.jpg"
        line.write_bytes(draw_line(320))
        runs = [_start([program, str(model), str(line)]) for _ in range(_STARTS)][1:]
    seconds, work, peaks = np.array(runs).T
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75)).tolist()
    yield Figure(
        name=f"crnn-infer {model.stem}, start of the process to the first text",
        value=f"{middle:.3f} s (quartiles {low:.3f} to {high:.3f}, {len(runs)} starts; "
        f"{np.median(work):.3f} s of processor time)",
        target="under 0.8 s",
        holds=middle < 0.8,
    )
    peak = peaks.max() / _MEGABYTE
    yield Figure(
        name=f"crnn-infer {model.stem}, peak memory",
        value=f"{peak:.0f} MB",
        target="under 150 MB",
        holds=bool(peak < 150),
    )


_LAUNCHER = """
import os, subprocess, sys, time
begin = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
first = process.stdout.readline()
seconds = time.perf_counter() - begin
_, status, usage = os.wait4(process.pid, 0)
if status or not first.strip():
    sys.exit(f"{sys.argv[1]} failed with status {status}")
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
"""
"""A new process counts the memory of the one that forked it as its own: this one is small."""


def _start(command: Sequence[str]) -> list[float]:
    """Seconds until a program's first line of output, of processor time, and bytes at most."""
    return [float(word) for word in output_of([sys.executable, "-c", _LAUNCHER, *command]).split()]


def same_in_any_batch(folder: Path | None, peers: Path | None) -> Iterator[Figure]:
    """Every line of a folder alone, in batches of 32, and shuffled among other neighbours."""
    target = "same text, confidences within 1e-4"
    pictures = real_lines(folder)
    kind = "lines of the folder given"
    if not pictures:
        yield missing("batch 1 against 32: lines of a folder", target, "no --lines FOLDER")
    sources: Sequence[Path | bytes] = pictures or [
        draw_line(width, seed=n) for n, width in enumerate(mixed_widths(200, high=800))
    ]
    if not pictures:
        kind = "drawn lines"
    models = {"lite, random weights": architecture("lite")}
    if (small := small_reader()) is not None:
        models[small.stem] = small
    peer = peer_model("PP-OCRv4", peers)
    if peer is not None and 0 < len(pictures) <= _PEER_LINES:
        models["PP-OCRv4"] = peer
    for name, model in models.items():
        texts, confidences, count = compare_batches(model, sources)
        yield Figure(
            name=f"{name}, {count} {kind}: alone, in batches of 32, shuffled",
            value=f"{texts} texts differ, confidences by {confidences:.1e} at most",
            target=target,
            holds=texts == 0 and confidences <= 1e-4,
        )


def compare_batches(model: Path, sources: Sequence[Path | bytes]) -> tuple[int, float, int]:
    """(texts that differ, largest difference of a confidence, lines compared)."""
    with Recognizer(model, batch_size=1) as alone, Recognizer(model, batch_size=32) as many:
        expected = alone.read(sources, errors="return")
        order = np.random.default_rng(0).permutation(len(sources))
        shuffled = many.read([sources[index] for index in order], errors="return")
        others = [many.read(sources, errors="return"), [shuffled[n] for n in np.argsort(order)]]
    texts, worst = 0, 0.0
    for other in others:
        for one, two in zip(expected, other, strict=True):
            texts += one.text != two.text
            worst = max(worst, *_differences(one, two))
    return texts, worst, len(sources)


def _differences(one: Line, two: Line) -> Iterator[float]:
    yield abs(one.confidence - two.confidence)
    for mine, theirs in itertools.zip_longest(one.chars, two.chars):
        if mine is not None and theirs is not None:
            yield abs(mine.confidence - theirs.confidence)
