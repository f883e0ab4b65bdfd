"""Divides lines into batches: a pure function of the seed and the epoch.

An epoch is a list of *tasks*. One task is what a worker loads at a time; its
lines, sorted by width, are cut into batches. Where all widths are known before
(annotated images), a task is one batch of lines of one padded width. Where
some are known only once drawn (synthesis), a task is a pool of several
batches, so that sorting the pool leaves little padding.

With several *lanes* (processes × accumulated batches), step ``s`` of an epoch
takes the batches that stand at place ``s`` of each lane: two processes see the
batches that one process accumulating two sees.
"""

import dataclasses
import math
from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from crnn.data.sources import Source
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.preprocess import padded_width

POOL = 8
"""Batches in a task whose widths are known only once drawn."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Lines that are loaded together.

    Attributes:
        sources: int32 (n,), which source each line comes from.
        indices: int64 (n,), index of the line in its source.
        batches: how many batches they are cut into.
    """

    sources: NDArray[np.int32]
    indices: NDArray[np.int64]
    batches: int


@dataclasses.dataclass(frozen=True)
class Mix:
    """Sources and how many lines of each make an epoch."""

    sources: Sequence[Source]
    counts: Sequence[int]

    @classmethod
    def of(cls, main: Source, others: Sequence[tuple[Source, float]] = ()) -> "Mix":
        """All lines of ``main``, and of the others their share (0..1) of the whole epoch."""
        rest = 1 - sum(share for _, share in others)
        total = len(main) / rest
        counts = [len(main), *(round(share * total) for _, share in others)]
        return cls([main, *(source for source, _ in others)], counts)


def plan_epoch(
    mix: Mix, card: ModelCard, *, batch_size: int, seed: int, epoch: int, lanes: int = 1
) -> list[list[Task]]:
    """The tasks of one epoch, one list per lane; all lanes have as many batches."""
    rng = np.random.default_rng((seed, epoch))
    if all(source.widths is not None for source in mix.sources):
        return _exact(mix, card, batch_size, (seed, epoch), lanes, rng)
    return _pooled(mix, batch_size, (seed, epoch), lanes, rng)


def plan_reading(source: Source, card: ModelCard, *, batch_size: int) -> list[Task]:
    """Every line of a source once, in as little padding as `plan_epoch` leaves."""
    if source.widths is not None:
        sources, order = np.zeros(len(source), np.int32), np.arange(len(source), dtype=np.int64)
        return _batches(sources, order, _padded(card, source.widths), batch_size)
    pool = POOL * batch_size
    tasks = []
    for start in range(0, len(source), pool):
        indices = np.arange(start, min(start + pool, len(source)), dtype=np.int64)
        sources = np.zeros(len(indices), np.int32)
        tasks.append(Task(sources, indices, math.ceil(len(indices) / batch_size)))
    return tasks


def _exact(
    mix: Mix,
    card: ModelCard,
    batch_size: int,
    when: tuple[int, int],
    lanes: int,
    rng: np.random.Generator,
) -> list[list[Task]]:
    """Batches of one padded width, in random order."""
    sources, indices = _draw(mix, mix.counts, when)
    order = rng.permutation(len(indices))
    sources, indices = sources[order], indices[order]
    padded = np.zeros(len(indices), np.int64)
    for number, source in enumerate(mix.sources):
        assert source.widths is not None
        mine = sources == number
        padded[mine] = _padded(card, source.widths[indices[mine]])
    tasks = _batches(sources, indices, padded, batch_size)
    tasks = [tasks[index] for index in rng.permutation(len(tasks))]
    # Every lane needs as many: some come twice.
    tasks = list(islice(cycle(tasks), math.ceil(len(tasks) / lanes) * lanes))
    return [tasks[lane::lanes] for lane in range(lanes)]


def _padded(card: ModelCard, widths: NDArray[np.int32]) -> NDArray[np.int64]:
    distinct, inverse = np.unique(widths, return_inverse=True)
    buckets = np.array([padded_width(card, width) for width in distinct.tolist()], np.int64)
    return buckets[inverse.reshape(-1)]


def _batches(
    sources: NDArray[np.int32],
    indices: NDArray[np.int64],
    padded: NDArray[np.int64],
    batch_size: int,
) -> list[Task]:
    """Cut lines into batches of one padded width, keeping their order within a width."""
    by_width = np.argsort(padded, kind="stable")
    bounds = np.flatnonzero(np.diff(padded[by_width])) + 1
    chunks = [
        group[start : start + batch_size]
        for group in np.split(by_width, bounds)
        for start in range(0, len(group), batch_size)
    ]
    return [Task(sources[chunk], indices[chunk], 1) for chunk in chunks]


def _pooled(
    mix: Mix, batch_size: int, when: tuple[int, int], lanes: int, rng: np.random.Generator
) -> list[list[Task]]:
    """Pools of whole batches, filled with further lines of a source."""
    lines = sum(mix.counts)
    steps = math.ceil(lines / (batch_size * lanes))
    short = steps * batch_size * lanes - lines
    counts = list(mix.counts)
    fill = next((n for n, source in enumerate(mix.sources) if source.endless), 0)
    counts[fill] += short
    sources, indices = _draw(mix, counts, when)
    order = rng.permutation(len(indices))
    sources, indices = sources[order], indices[order]
    result: list[list[Task]] = [[] for _ in range(lanes)]
    start = 0
    for step in range(0, steps, POOL):
        batches = min(POOL, steps - step)
        for lane in result:
            end = start + batches * batch_size
            lane.append(Task(sources[start:end], indices[start:end], batches))
            start = end
    return result


def _draw(
    mix: Mix, counts: Sequence[int], when: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """``counts[n]`` lines of each source, continuing where the epoch before ended."""
    seed, epoch = when
    sources, indices = [], []
    for number, (source, count) in enumerate(zip(mix.sources, counts, strict=True)):
        start = epoch * count
        if source.endless:
            drawn = np.arange(start, start + count, dtype=np.int64)
        else:
            drawn = _passes(len(source), start, count, (seed, number))
        indices.append(drawn)
        sources.append(np.full(count, number, np.int32))
    return np.concatenate(sources), np.concatenate(indices)


def _passes(size: int, start: int, count: int, key: tuple[int, int]) -> NDArray[np.int64]:
    """Places ``start`` to ``start + count`` of an endless row of shufflings of ``size`` lines.

    So a small data set in a mix is used evenly, whatever its share.
    """
    pieces = [np.zeros(0, np.int64)]
    while count > 0:
        number, offset = divmod(start, size)
        order = np.random.default_rng((*key, 1, number)).permutation(size)
        pieces.append(order[offset : offset + count])
        start += len(pieces[-1])
        count -= len(pieces[-1])
    return np.concatenate(pieces)
