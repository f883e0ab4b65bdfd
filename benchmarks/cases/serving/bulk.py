"""``crnn-bulk`` on this machine against bare processes, by turns.

    crnn-bench bulk --lines 6000 --turns 5

Two workers of Ray with one thread each, against two processes with one thread each
that read half of the files with `Recognizer.stream` and write nothing. *Start-up
excluded* is the sum of the workers' rates: lines over the time from a worker's first
line to its last. *Included* is the time from the command to its end: Ray is started,
files are listed, and Parquet is written.
"""

import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from crnn_benchmarks.cases.serving.bulk_child import Share
from crnn_benchmarks.harness.child import ChildError
from crnn_benchmarks.harness.inputs import write_pictures
from crnn_benchmarks.harness.targets import Figure, print_figures, print_machine
from crnn_runtime.console import Command
from crnn_runtime.readers import reader_names

WIDTHS = (96, 160, 256, 416)
"""Widths of the pictures at height 32, as many of each."""
TARGET = 0.85
_DISTINCT = 50  # of a width


def write_lines(folder: Path, count: int) -> list[str]:
    """Write ``count`` files, widths mixed, a thousand to a folder."""
    drawn = folder / "drawn"
    drawn.mkdir()
    made = [Path(p) for width in WIDTHS for p in write_pictures(drawn, width, _DISTINCT)]
    order = np.random.default_rng(0).permutation(count) % len(made)
    paths = []
    for number, index in enumerate(order):
        path = folder / "lines" / f"{number // 1000:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made[index].read_bytes())
        paths.append(str(path))
    return paths


def run(children: Sequence[Sequence[str]]) -> tuple[float, list[Share]]:
    """Start processes together → seconds until the last ended, and what each worker did."""
    started = time.perf_counter()
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "crnn_benchmarks.cases.serving.bulk_child", *arguments],
            stdout=subprocess.PIPE, text=True,
        )
        for arguments in children
    ]  # fmt: skip
    said = [process.communicate()[0] for process in running]
    seconds = time.perf_counter() - started
    if any(process.returncode for process in running):
        raise ChildError("a process failed, see above")
    return seconds, [Share.parse(line) for text in said for line in text.splitlines()]


def rate(shares: Iterable[Share]) -> float:
    """Lines a second of all workers together, while they read."""
    spans: dict[str, list[Share]] = defaultdict(list)
    for share in shares:
        spans[share.worker].append(share)
    return sum(
        sum(each.lines for each in own)
        / (max(each.ended for each in own) - min(each.began for each in own))
        for own in spans.values()
    )


@click.command(cls=Command)
@click.option("--lines", default=6000, show_default=True, help="Pictures.")
@click.option("--turns", default=5, show_default=True, help="Turns of both; one more warms up.")
@click.option("--model", help="Reader.  [default: the first that ships]")
@click.option("--lines-per-part", default=1024, show_default=True)
@click.option("--naive", is_flag=True, help="Also pictures through Ray's object store.")
def main(lines: int, turns: int, model: str | None, lines_per_part: int, naive: bool) -> None:
    """Measure, and print the ratios. Exit status 1 if a target is missed."""
    model = model or reader_names()[0]
    print_machine(f"{model}, {lines:,} lines {WIDTHS} × 32, {turns} turns")
    ways = ["bare", "ray", *(["naive"] if naive else [])]
    rates, totals = (np.zeros((turns, len(ways))) for _ in range(2))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = write_lines(folder, lines)
        halves = []
        for number in range(2):
            half = folder / f"half-{number}.txt"
            half.write_text("\n".join(paths[number::2]))
            halves.append(["bare", model, str(half)])
        for turn in range(-1, turns):
            for number, way in enumerate(ways):
                out = str(folder / f"{way}-{turn}")
                ray = [[way, model, str(folder / "lines"), out, str(lines_per_part)]]
                seconds, shares = run(halves if way == "bare" else ray)
                if sum(share.lines for share in shares) != lines:
                    raise click.ClickException(f"{way} did not read {lines} lines")
                if turn >= 0:
                    rates[turn, number], totals[turn, number] = rate(shares), lines / seconds
    print_figures(_figures(ways, rates, totals))


def _figures(
    ways: Sequence[str], rates: NDArray[np.float64], totals: NDArray[np.float64]
) -> Iterator[Figure]:
    for number, way in enumerate(ways[1:], 1):
        for name, table in (("excluded", rates), ("included", totals)):
            low, middle, high = np.quantile(table[:, number] / table[:, 0], (0, 0.5, 1)).tolist()
            bare, own = np.median(table[:, 0]), np.median(table[:, number])
            has_target = (way, name) == ("ray", "excluded")
            yield Figure(
                name=f"{way} over bare, start-up {name}",
                value=f"{middle:.3f} ({low:.3f} to {high:.3f}), "
                f"{own:,.0f} over {bare:,.0f} lines/s",
                target=f"at least {TARGET}" if has_target else "",
                holds=middle >= TARGET if has_target else None,
            )
