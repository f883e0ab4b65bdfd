"""Figures with targets: two ways of doing the same, by turns, and how they are printed."""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import click
import numpy as np
from numpy.typing import NDArray

from crnn_benchmarks.harness.machine import commit, load, this_machine, versions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the report.

    Attributes:
        name: what was measured.
        value: as it is shown, with its spread.
        target: as it is shown; empty if there is none.
        holds: whether the target is reached; None if it could not be measured.
    """

    name: str
    value: str
    target: str
    holds: bool | None

    def __str__(self) -> str:
        if not self.target:
            return f"{'':8}{self.name}: {self.value}"
        verdict = {True: "pass", False: "FAIL", None: "missing"}[self.holds]
        return f"{verdict:8}{self.name}: {self.value} (target {self.target})"


def missing(name: str, target: str, reason: str) -> Figure:
    """A figure that cannot be measured here."""
    return Figure(name=name, value=reason, target=target, holds=None)


def by_turns(
    ways: Sequence[Callable[[], object]], turns: int, clock: Callable[[], float]
) -> NDArray[np.float64]:
    """Seconds that each of the ways takes: (turns, ways). The first turn only warms up."""
    seconds = np.zeros((turns, len(ways)))
    for turn in range(-1, turns):
        for number, way in enumerate(ways):
            start = clock()
            way()
            if turn >= 0:
                seconds[turn, number] = clock() - start
    return seconds


def ratio(seconds: NDArray[np.float64], over: int = 0, under: int = 1) -> tuple[float, str]:
    """Median of the turns' ratios of two columns, and how it is shown with its quartiles."""
    ratios = seconds[:, over] / seconds[:, under]
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75)).tolist()
    return middle, f"{middle:.3f} (quartiles {low:.3f} to {high:.3f}, {len(ratios)} turns)"


def print_machine(what: str = "") -> None:
    """Say where the figures that follow are measured, and of what."""
    machine = this_machine()
    click.echo(f"{machine.cpu}, {machine.cpus} CPUs, {machine.system}, load {machine.load:.1f}")
    click.echo(", ".join(f"{name} {version}" for name, version in versions().items()))
    click.echo(f"commit {commit()}" + (f"; {what}" if what else ""))


def print_figures(figures: Iterable[Figure]) -> None:
    """Print each figure as soon as it is there, then exit: with 1 if a target is missed."""
    missed = 0
    for figure in figures:
        click.echo(str(figure))
        missed += figure.holds is False
    click.echo(f"load at the end {load():.1f}; {missed} missed")
    sys.exit(bool(missed))


PROCESS = time.process_time
"""The clock of one thread's work: waiting for a busy machine does not count."""
