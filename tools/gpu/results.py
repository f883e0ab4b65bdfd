"""The results of `tools.gpu.first`."""

from collections.abc import Sequence
from dataclasses import dataclass

SINGLE_CALLS = 5
"""Calls of a shape that are timed one by one: plain, captured, replayed."""


@dataclass(frozen=True)
class ContextCost:
    """The costs of one more execution context: seconds, and bytes of the device and the host."""

    seconds: float
    device_bytes: int
    host_bytes: int


@dataclass(frozen=True)
class ShapeTimes:
    """Seconds of the first calls of a shape one by one, and the median of many later ones."""

    batch: int
    width: int
    first: tuple[float, ...]
    later: float


@dataclass(frozen=True)
class Traffic:
    """Mixed traffic: lines, seconds, and the contexts that each lane had in the end."""

    lines: int
    seconds: float
    contexts: tuple[int, ...]


@dataclass(frozen=True)
class First:
    """The measurements, each None or empty until it was made.

    Attributes:
        contexts: cost of the first, second … context of an engine.
        shapes: times of `SHAPES`.
        traffic: 40 reads of 1,397 lines, twice: the second finds kernels and graphs made.
        threads: what a process said that read with several threads and then ended.
        problems: measurement → why it could not be made.
    """

    contexts: Sequence[ContextCost] = ()
    shapes: Sequence[ShapeTimes] = ()
    traffic: Sequence[Traffic] = ()
    threads: str = ""
    problems: Sequence[tuple[str, str]] = ()
