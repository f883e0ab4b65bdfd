"""Intervals for figures that were measured, not drawn: blocks of time, resampled lines."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z = 1.959964
"""Standard normal quantile of 97.5 %."""
BLOCKS = 10
"""Stretches of time that a run is cut into, to see how far the machine drifts."""
REPEATABILITY = 0.03
"""The standard deviation of a time's logarithm from one process to the next: addresses, page
colours and the order of allocations change, and no number of repetitions within one process shows
it (Kalibera and Jones 2013, section 2).
"""

_RESAMPLES = 400
_LEAST = {0.95: 20, 0.99: 100}
"""Quantile → repetitions below which it would only be the slowest of them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % interval; no bounds where nothing tells them.

    Raises:
        ValueError: the figure lies outside its bounds.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        bounds = (self.low, self.high)
        if any(bound is not None and not math.isfinite(bound) for bound in (self.value, *bounds)):
            raise ValueError(f"{self}: a figure is a finite number")
        low, high = (self.value if bound is None else bound for bound in bounds)
        slack = 1e-9 * abs(self.value)
        if not low - slack <= self.value <= high + slack:
            raise ValueError(f"{self.value} is outside its interval {self.low}..{self.high}")

    def overlaps(self, other: "Interval") -> bool:
        """Whether both intervals hold a common value."""
        low, high = self.bounds()
        other_low, other_high = other.bounds()
        return low <= other_high and other_low <= high

    def bounds(self) -> tuple[float, float]:
        """Low and high, the figure itself where one is missing."""
        return (
            self.value if self.low is None else self.low,
            self.value if self.high is None else self.high,
        )

    def scaled(self, factor: float) -> "Interval":
        """The same in another unit; ``factor`` is positive."""
        return Interval(
            self.value * factor,
            None if self.low is None else self.low * factor,
            None if self.high is None else self.high * factor,
        )

    def inverse(self, of: float = 1.0) -> "Interval":
        """``of`` divided by it: seconds a line become lines a second."""
        return Interval(
            of / self.value,
            None if self.high is None else of / self.high,
            None if self.low is None else of / self.low,
        )


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Repeated measurements of one time, in seconds.

    Attributes:
        runs: how many repetitions.
        p50: the median.
        p95: None below 20 repetitions, which cannot tell it.
        p99: None below 100 repetitions.
    """

    runs: int
    p50: Interval
    p95: Interval | None = None
    p99: Interval | None = None


def quantiles(rounds: Sequence[Sequence[float]]) -> Quantiles:
    """Median, p95 and p99 of seconds measured in rounds, in the order of time."""
    runs = sum(map(len, rounds))

    def at(share: float) -> Interval | None:
        if runs < _LEAST[share]:
            return None
        return of_rounds(rounds, lambda times: float(np.quantile(times, share)))

    return Quantiles(runs, median(rounds), at(0.95), at(0.99))


def median(rounds: Sequence[Sequence[float]]) -> Interval:
    """The median of positive values measured in rounds."""
    return of_rounds(rounds, lambda values: float(np.median(values)))


def mean(rounds: Sequence[Sequence[float]]) -> Interval:
    """The mean of positive values measured in rounds."""
    return of_rounds(rounds, lambda values: float(values.mean()))


def ratio(rounds: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> Interval:
    """The time of one thing over that of another, both measured by turns.

    Whole rounds are resampled with both times in them, so what slows both leaves it as it is.
    """
    pairs = [np.column_stack(both) for both in zip(rounds, others, strict=True)]
    return of_rounds(pairs, lambda times: float(np.divide(*times.sum(axis=0))), processes=2)


def of_rounds(
    rounds: Sequence[Sequence[float] | NDArray[np.float64]],
    figure: Callable[[NDArray[np.float64]], float],
    *,
    processes: int = 1,
    seed: int = 0,
) -> Interval:
    """A figure of positive values with an interval that covers drift within the run.

    Neighbouring repetitions share the machine's mood, so single values must not be
    resampled: the run is cut into `BLOCKS` stretches of time and whole stretches
    are (block bootstrap, Künsch 1989). Student's t on as many stretches widens the
    result, and `REPEATABILITY`, once for each process, stands for what one cannot see.
    """
    values = [np.asarray(values, np.float64) for values in rounds if len(values)]
    estimate = figure(np.concatenate(values))
    # Parts of the list, not np.array_split: rounds may differ in length.
    bounds = np.linspace(0, len(values), min(BLOCKS, len(values)) + 1).astype(int)
    blocks = [np.concatenate(values[start:end]) for start, end in itertools.pairwise(bounds)]
    if len(blocks) < 2:
        return Interval(estimate)
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(blocks), size=(_RESAMPLES, len(blocks)))
    resampled = [figure(np.concatenate([blocks[n] for n in row])) for row in drawn]
    freedom = len(blocks) - 1
    error = float(np.std(np.log(resampled))) * math.sqrt(len(blocks) / freedom)
    spread = math.exp(math.hypot(student_t(freedom) * error, Z * REPEATABILITY * processes**0.5))
    return Interval(estimate, estimate / spread, estimate * spread)


def student_t(freedom: int) -> float:
    """97.5 % quantile of Student's t (Hill 1970's expansion about the normal; exact for 1, 2)."""
    if freedom <= 2:
        return 12.7062 if freedom == 1 else 4.3027
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    correction: float = sum(term / freedom**power for power, term in enumerate(terms, start=1))
    return z + correction


def share(values: NDArray[np.float64], weights: NDArray[np.float64], *, seed: int = 0) -> Interval:
    """Sum of values over sum of weights, its interval by resampling lines.

    Where all lines agree (all right, all wrong) resampling sees no spread: the bound
    is then Wilson's for 0 or n of n.
    """
    n = len(values)
    estimate = float(values.sum() / max(weights.sum(), 1e-12))
    if not n:
        return Interval(0.0)
    if np.all(values == weights) or not values.any():
        doubt = Z**2 / (n + Z**2)
        low, high = (estimate, doubt) if estimate == 0 else (1 - doubt, estimate)
        return Interval(estimate, low, high)
    generator = np.random.default_rng(seed)
    resampled = []
    for _ in range(10):  # in parts: a table of resamples × lines can be large
        counts = generator.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES // 4)
        resampled.append((counts @ values) / np.maximum(counts @ weights, 1e-12))
    low, high = np.quantile(np.concatenate(resampled), (0.025, 0.975)).tolist()
    return Interval(estimate, min(low, estimate), max(high, estimate))
