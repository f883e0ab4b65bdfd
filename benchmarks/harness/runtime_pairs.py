"""Two ways of doing the same, by turns: the figures of the runtime that are ratios."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the report.

    Attributes:
        name: what was measured.
        value: as it is shown, with its spread.
        target: as it is shown.
        holds: whether the target is reached; None if it could not be measured.
    """

    name: str
    value: str
    target: str
    holds: bool | None

    def __str__(self) -> str:
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


PROCESS = time.process_time
"""The clock of one thread's work: waiting for a busy machine does not count."""
WALL = time.perf_counter
