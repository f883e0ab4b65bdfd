"""Every figure that the runtime promises, each against its target, in one run.

    crnn-bench runtime --lines FOLDER
    crnn-bench runtime --only lite-vs-ppocr --only cold-start

Ratios are measured by turns in processor time of one thread, so that a busy
machine spoils them least; the start of a process is measured by the clock. Networks
of 5,990 classes have random weights: they are as slow as trained ones and read nothing.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from crnn.backbones import BACKBONES
from crnn_benchmarks.cases import decode
from crnn_benchmarks.cases.runtime import network, steady
from crnn_benchmarks.harness.targets import Figure, print_figures, print_machine
from crnn_runtime.console import Command

_BEAM_ROUNDS = 15


def beam_search() -> Iterator[Figure]:
    """Prefix beam search as `crnn-bench decode` measures it."""
    steps, width, top_k = 35, 8, 8
    with tempfile.TemporaryDirectory() as folder:
        ways = decode.variants(steps, width, top_k, Path(folder))
        chosen = {name: way for name, way in ways.items() if name.startswith("beam, topk head")}
        times = decode.measure(chosen, _BEAM_ROUNDS)
    for name, milliseconds in times.items():
        low, middle, high = decode.quartiles(milliseconds)
        yield Figure(
            name=f"{name}, T = {steps}, width {width}, top-k {top_k}: a line",
            value=f"{middle:.3f} ms (quartiles {low:.3f} to {high:.3f}, {_BEAM_ROUNDS} rounds)",
            target="under 1 ms",
            holds=middle < 1,
        )


@click.command(cls=Command)
@click.option("--only", multiple=True, help="Name of a figure, may be repeated.")
@click.option(
    "--arch", "archs", multiple=True, type=click.Choice([*BACKBONES]), help="For pytorch."
)
@click.option("--lines", type=click.Path(path_type=Path), help="Folder of real lines.")
@click.option("--peers", type=click.Path(path_type=Path), help="Folder with peers' models.")
def main(
    only: tuple[str, ...], archs: tuple[str, ...], lines: Path | None, peers: Path | None
) -> None:
    """Measure, and print each figure with its target. Exit status 1 if one is missed."""
    figures: dict[str, Callable[[], Iterator[Figure]]] = {
        "lite-vs-ppocr": lambda: network.lite_against_ppocr(peers),
        "pytorch": lambda: network.against_pytorch(archs or [*BACKBONES]),
        "rest": network.share_of_the_rest,
        "widths": network.mixed_width_rate,
        "memory": steady.steady_memory,
        "cold-start": steady.cold_start,
        "same-text": lambda: steady.same_in_any_batch(lines, peers),
        "beam": beam_search,
    }
    if unknown := sorted(set(only) - figures.keys()):
        raise click.UsageError(f"no figure {', '.join(unknown)}: choose from {', '.join(figures)}")
    print_machine()
    print_figures(
        figure for name, measure in figures.items() if not only or name in only
        for figure in measure()
    )  # fmt: skip
