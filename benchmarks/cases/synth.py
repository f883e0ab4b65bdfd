"""Measures synthetic lines a second: per preset, per worker, and against trdg.

    crnn-bench synth
    crnn-bench synth --trdg build/trdg/bin/python --json speed.json

trdg 1.8.0 needs old versions of Pillow and numpy, so it runs in an environment of
its own: ``python -m venv build/trdg && build/trdg/bin/pip install trdg==1.8.0
'pillow<10' 'numpy<2'``. Both draw the same strings, in the same fonts, at 280 × 32
with skew, blur, waves, a noisy ground and JPEG, by turns in one run.

Rates are given per second of processor time of the drawing process, which is what
one core does when it has nothing else to do, and per second of the clock.
"""

import json
import multiprocessing
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import cv2

from crnn.synth import PRESETS, Synthesizer
from crnn.synth.fonts.faces import HAN
from crnn.synth.stream import encoded_chunks
from crnn_benchmarks.harness.child import ChildError
from crnn_runtime.console import Command
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError

_TRDG = """
import io, json, sys, time
from trdg.generators import GeneratorFromStrings
fonts, texts, count = json.load(open(sys.argv[1]))
lines = GeneratorFromStrings(
    texts, count=count, fonts=fonts, language="cn", size=32, width=280,
    skewing_angle=2, random_skew=True, blur=1, random_blur=True,
    background_type=0, distorsion_type=3, distorsion_orientation=2,
    text_color="#000000,#606060",
)
next(lines)
wall, cpu = time.perf_counter(), time.process_time()
drawn = 0
for image, text in lines:
    image.convert("L").save(io.BytesIO(), "JPEG", quality=75)
    drawn += 1
print(json.dumps([drawn, time.perf_counter() - wall, time.process_time() - cpu]))
"""


class Meter:
    """Adds up lines, clock and processor time of several turns."""

    def __init__(self) -> None:
        self.lines, self.wall, self.cpu = 0, 0.0, 0.0

    def add(self, lines: int, wall: float, cpu: float) -> None:
        """One turn."""
        self.lines, self.wall, self.cpu = self.lines + lines, self.wall + wall, self.cpu + cpu

    def rates(self) -> dict[str, float]:
        """Lines per second of the clock and of processor time."""
        return {
            "lines": self.lines,
            "per_second": round(self.lines / self.wall, 1),
            "per_cpu_second": round(self.lines / self.cpu, 1),
        }


def draw(synthesizer: Synthesizer, indices: Iterable[int], meter: Meter) -> None:
    """Draw lines in this process and meter them."""
    wall, cpu = time.perf_counter(), time.process_time()
    lines = 0
    for index in indices:
        synthesizer.line(index)
        lines += 1
    meter.add(lines, time.perf_counter() - wall, time.process_time() - cpu)


def measure_presets(lines: int, warm: int) -> dict[str, Any]:
    """Rate of each preset: the first lines, while glyphs are first drawn, and after ``warm``."""
    found = {}
    for name in PRESETS:
        synthesizer = Synthesizer(name)
        cold, steady = Meter(), Meter()
        draw(synthesizer, range(min(lines, warm)), cold)
        draw(synthesizer, range(min(lines, warm), warm), Meter())
        draw(synthesizer, range(warm, warm + lines), steady)
        found[name] = {"first": cold.rates(), "steady": steady.rates()}
        click.echo(
            f"{name:16} {found[name]['first']['per_cpu_second']:8.0f} first "
            f"{found[name]['steady']['per_cpu_second']:8.0f} steady lines per CPU second"
        )
    return found


def measure_workers(preset: str, lines: int) -> dict[int, float]:
    """Lines a second of the clock, JPEG included, for 1, 2, 4, … workers."""
    synthesizer = Synthesizer(preset)
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= available_cpus()]
    found = {}
    for workers in counts:
        chunks = encoded_chunks(synthesizer, 0, lines * workers, max(2, workers))
        if workers == 1:
            chunks = encoded_chunks(synthesizer, 0, lines, 1)
        next(chunks)
        start, drawn = time.perf_counter(), 0
        for chunk in chunks:
            drawn += len(chunk)
        found[workers] = round(drawn / (time.perf_counter() - start), 1)
        click.echo(f"{workers:3} workers {found[workers]:8.0f} lines a second, encoded")
    return found


def _memory(synthesizer: Synthesizer, lines: int, answer: Any) -> None:  # noqa: ANN401
    for index in range(lines):
        synthesizer.line(index)
    status = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    answer.send(
        {key: int(fields[key].split()[0]) // 1024 for key in ("VmHWM", "RssAnon", "RssFile")}
    )


def measure_memory(lines: int, families: int = 10) -> dict[str, int]:
    """MiB of a worker process that draws with ten Chinese font files, after ``lines``."""
    files: dict[str, str] = {}
    for face in Synthesizer("chinese-strings").fonts.faces:
        if face.covers(HAN):
            files.setdefault(face.family, face.path)
    chosen = sorted(set(files.values()))[:families]
    synthesizer = Synthesizer("chinese-strings", fonts=chosen)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_memory, args=(synthesizer, lines, theirs))
    worker.start()
    theirs.close()  # or the end of the process would not be seen
    try:
        found: dict[str, int] = ours.recv()
    except EOFError as error:
        raise ChildError("the process that draws ended early (want of memory?)") from error
    worker.join()
    found["font_files"] = len(chosen)
    click.echo(f"worker with {len(chosen)} Chinese fonts after {lines} lines: {found} MiB")
    return found


def compare_trdg(python: Path, lines: int, turns: int, warm: int) -> dict[str, Any]:
    """Rates of both by turns, ``chinese-strings`` against trdg."""
    synthesizer = Synthesizer("chinese-strings")
    # Trdg takes the first face of a file and checks no cmap: give it plain files.
    fonts = sorted({
        face.path for face in synthesizer.fonts.faces if face.covers(HAN) and face.index == 0
    })  # fmt: skip
    texts = [synthesizer.text(index) for index in range(lines)]
    draw(synthesizer, range(warm), Meter())
    ours, theirs = Meter(), Meter()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([fonts, texts, lines], file)
        file.flush()
        for turn in range(turns):
            command = [str(python), "-c", _TRDG, file.name]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                raise CrnnError(f"trdg failed in {python}: {run.stderr.strip().splitlines()[-1]}")
            theirs.add(*json.loads(run.stdout.splitlines()[-1]))
            draw(synthesizer, range(warm + turn * 1000, warm + turn * 1000 + 1000), ours)
    found = {"crnn": ours.rates(), "trdg": theirs.rates()}
    found["times_faster"] = {
        key: round(found["crnn"][key] / found["trdg"][key], 1)
        for key in ("per_second", "per_cpu_second")
    }
    click.echo(json.dumps(found, indent=1))
    return found


@click.command(cls=Command)
@click.option("--lines", default=1000, show_default=True, help="Lines of each measurement.")
@click.option(
    "--warm", default=12_000, show_default=True, help="Lines drawn before the steady rate."
)
@click.option("--trdg", type=click.Path(path_type=Path), help="Python that has trdg 1.8.0.")
@click.option("--turns", default=3, show_default=True, help="Turns of the comparison with trdg.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--only", type=click.Choice(("presets", "workers", "memory", "trdg")))
def main(
    lines: int, warm: int, trdg: Path | None, turns: int, output: Path | None, only: str | None
) -> None:
    """Measure the synthetic data engine on this machine."""
    cv2.setNumThreads(1)
    found: dict[str, Any] = {"cpus": available_cpus(), "machine": platform.processor()}
    if only in (None, "presets"):
        found["presets"] = measure_presets(lines, warm)
    if only in (None, "workers"):
        found["workers"] = measure_workers("chinese-strings", 4 * lines)
    if only in (None, "memory"):
        found["memory_mib"] = measure_memory(8 * lines)
    if trdg is not None:
        found["trdg"] = compare_trdg(trdg, lines // 4, turns, warm)
    if output is not None:
        output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
