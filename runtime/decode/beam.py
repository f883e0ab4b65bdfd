"""Prefix beam search over a batch of lines (Graves 2012, section 7.5; Hannun et al. 2014).

A beam is a prefix of a text, with the probability of all paths so far that read as
it, kept apart by whether they end with a blank. A step lets every beam stay or grow
by one class, adds up what has become the same prefix, and keeps the best. Lines and
beams are the axes of arrays, so a step costs a few dozen array operations however
many lines there are.

Probabilities are kept as such and brought back to about 1 every few steps, with the
logarithm of what was taken out on the side (Rabiner 1989, section V.A): no range is
lost over any number of steps, and sums need no logarithms. Only a beam 300 orders of
magnitude below the best of its line counts as impossible.

Prefixes are told apart by a 64-bit hash of their classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.decode.lattice import BLANK, Lattice

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RESCALE_EVERY = 16
"""Steps between two rescalings: a step changes the sums by at most 2⁻¹ to K + 1 times."""
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_EMPTY, _DEAD, _NO_PARENT = np.uint64(1), np.uint64(2), np.uint64(3)
"""Hashes of the empty prefix, of beams of probability 0, and of the parents of both."""


class Fusion(Protocol):
    """Scores that are added to the logarithm of a prefix's probability, class by class."""

    def start(self) -> int:
        """State of the empty prefix."""

    def grow(self, states: Ints, codes: Ints) -> tuple[Floats, Ints]:
        """States and classes, broadcast → what growing adds, and the next states."""

    def end(self, states: Ints) -> Floats:
        """Returns the scores for ending a text in these states."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A text that a line may say.

    Attributes:
        codes: (L,) its classes.
        log_prob: logarithm of its probability: the sum over the paths that read as it.
        score: what hypotheses are ranked by, `log_prob` and what `Fusion` adds.
    """

    codes: Ints
    log_prob: float
    score: float


@dataclass(frozen=True, slots=True)
class _SearchedSteps:
    """The steps that are searched, time first, probabilities relative to the best."""

    ids: Ints  # (A, N, K)
    probs: Floats  # (A, N, K), of the blank 0
    blank: Floats  # (A, N)
    pause: NDArray[np.bool_]  # (A, N): blanks were left out before this step
    log_scale: Floats  # (N,): what probabilities are relative to


@dataclass(slots=True)
class _Beams:
    """Beams, all (N, W)."""

    ended: Floats  # probability of the paths that end with a blank
    open: Floats  # of the others
    last: Ints  # last class, 0 of the empty prefix
    name: NDArray[np.uint64]  # hash of the prefix
    parent: NDArray[np.uint64]  # hash of the prefix without its last class
    added: Floats  # by the fusion
    state: Ints  # of the fusion


def prefix_beam_search(
    lattice: Lattice,
    *,
    width: int,
    best: int = 1,
    fusion: Fusion | None = None,
    sure_blank: float = 1.0,
) -> list[list[Hypothesis]]:
    """The ``best`` most probable texts of each line, best first.

    Args:
        lattice: what each step may be.
        width: beams kept per line. The search is exact if every prefix fits.
        best: hypotheses wanted per line, at most ``width``; there may be fewer.
        fusion: a language model.
        sure_blank: a step whose blank is more probable than this is taken as blank.
            Every text's probability loses at most the sum of what those steps give
            to other classes.
    """
    steps = _relevant_steps(lattice, sure_blank)
    batch = len(lattice.ids)
    beams = _first_beams(batch, width, fusion)
    log_scale = steps.log_scale.copy()
    came_from = np.zeros((len(steps.ids), batch, width), np.int64)
    grew_by = np.zeros_like(came_from)
    for t in range(len(steps.ids)):
        if steps.pause[t].any():
            paused = steps.pause[t][:, None]
            beams.ended = beams.ended + np.where(paused, beams.open, 0)
            beams.open = np.where(paused, 0, beams.open)
        came_from[t], grew_by[t] = _advance(
            beams, steps.ids[t], steps.probs[t], steps.blank[t], fusion
        )
        if t % _RESCALE_EVERY == _RESCALE_EVERY - 1:
            exponent = np.frexp((beams.ended + beams.open).max(axis=1))[1]
            beams.ended = np.ldexp(beams.ended, -exponent[:, None])
            beams.open = np.ldexp(beams.open, -exponent[:, None])
            log_scale += exponent * np.log(2)
    return _hypotheses(beams, log_scale, _traced(came_from, grew_by), best, fusion)


def _relevant_steps(lattice: Lattice, sure_blank: float) -> _SearchedSteps:
    """Drop padding and sure blanks, move the other steps up, fill shorter lines with blanks."""
    length = lattice.ids.shape[1]
    is_blank = lattice.ids == BLANK
    log_blank = np.max(lattice.log_probs, axis=2, where=is_blank, initial=-np.inf)
    valid = np.arange(length) < lattice.steps[:, None]
    # Rounded, the logarithm of a probability of 1 may be above 0.
    sure = valid & (log_blank > (np.log(sure_blank) if sure_blank < 1 else np.inf))
    kept = valid & ~sure
    counts = kept.sum(axis=1)
    order = np.argsort(~kept, axis=1, kind="stable")[:, : max(1, counts.max(initial=0))]
    is_padding = np.arange(order.shape[1]) >= counts[:, None]
    log_probs = np.take_along_axis(lattice.log_probs, order[:, :, None], axis=1)
    peak = np.where(is_padding, 0, log_probs.max(axis=2))
    peak[np.isneginf(peak)] = 0
    ids = np.take_along_axis(lattice.ids, order[:, :, None], axis=1)
    probs = np.where(
        (ids == BLANK) | is_padding[:, :, None], 0, np.exp(log_probs - peak[..., None])
    )
    blank = np.exp(np.take_along_axis(log_blank, order, axis=1) - peak)
    blank[is_padding] = 1
    pause = np.zeros(order.shape, bool)
    pause[:, 1:] = order[:, 1:] > order[:, :-1] + 1
    log_scale = peak.sum(axis=1) + np.sum(log_blank, axis=1, where=sure)
    return _SearchedSteps(
        ids=np.ascontiguousarray(ids.transpose(1, 0, 2)),
        probs=np.ascontiguousarray(probs.transpose(1, 0, 2)),
        blank=np.ascontiguousarray(blank.T),
        pause=np.ascontiguousarray(pause.T),
        log_scale=log_scale,
    )


def _first_beams(batch: int, width: int, fusion: Fusion | None) -> _Beams:
    """One empty prefix per line, the other beams of probability 0."""
    ended = np.zeros((batch, width))
    ended[:, 0] = 1
    name = np.full((batch, width), _DEAD)
    name[:, 0] = _EMPTY
    return _Beams(
        ended=ended,
        open=np.zeros((batch, width)),
        last=np.zeros((batch, width), np.int64),
        name=name,
        parent=np.full((batch, width), _NO_PARENT),
        added=np.zeros((batch, width)),
        state=np.full((batch, width), fusion.start() if fusion else 0),
    )


def _advance(
    beams: _Beams, ids: Ints, probs: Floats, blank: Floats, fusion: Fusion | None
) -> tuple[Ints, Ints]:
    """One step: ids and probs (N, K), blank (N,).

    Returns:
        The beam each new beam came from and the class it grew by (0: it stayed), (N, W).
    """
    batch, width = beams.last.shape
    total = beams.ended + beams.open
    same = ids[:, None, :] == beams.last[:, :, None]
    grown = np.where(same, beams.ended[:, :, None], total[:, :, None])
    grown *= probs[:, None, :]
    held = beams.open * np.where(same, probs[:, None, :], 0).sum(axis=2)
    _merge(beams, same, grown, held)
    rested = total * blank[:, None]
    pool = np.concatenate([rested + held, grown.reshape(batch, -1)], axis=1)
    rank = pool
    if fusion:
        gain, state = fusion.grow(beams.state[:, :, None], ids[:, None, :])
        gain += beams.added[:, :, None]
        added = np.concatenate([beams.added, gain.reshape(batch, -1)], axis=1)
        with np.errstate(divide="ignore"):
            rank = np.log(pool) + added
    chosen = rank.argsort(axis=1)[:, -width:]  # no slower than a partial sort at this length
    is_grown = chosen >= width
    row = np.arange(batch)[:, None]
    beam, k = np.divmod(chosen - width, ids.shape[1])
    beam = np.where(is_grown, beam, chosen)
    # take() on flat arrays costs a fraction of indexing by rows and columns.
    flat = beam + row * width
    pooled = chosen + row * pool.shape[1]
    grew_by = np.where(is_grown, ids.take(k + row * ids.shape[1]), 0)
    value = pool.take(pooled)
    name = beams.name.take(flat)
    beams.parent = np.where(is_grown, name, beams.parent.take(flat))
    beams.name = np.where(is_grown, _hash(name, grew_by), name)
    if np.count_nonzero(value) < value.size:
        beams.name[value == 0] = _DEAD
        beams.parent[value == 0] = _NO_PARENT
    beams.last = np.where(is_grown, grew_by, beams.last.take(flat))
    beams.ended = np.where(is_grown, 0, rested.take(flat))
    beams.open = np.where(is_grown, value, held.take(flat))
    if fusion:
        beams.added = added.take(pooled)
        states = np.concatenate([beams.state, state.reshape(batch, -1)], axis=1)
        beams.state = states.take(pooled)
    return beam, grew_by


def _merge(beams: _Beams, same: NDArray[np.bool_], grown: Floats, held: Floats) -> None:
    """If a beam grows into the prefix of another beam, add its probability to that beam.

    Two beams never grow into the same prefix. Beam i grows into beam j if i is j's
    parent and the class is j's last.
    """
    width, classes = beams.last.shape[1], same.shape[2]
    pairs = np.flatnonzero(beams.parent[:, :, None] == beams.name[:, None, :])
    if not len(pairs):
        return
    child, parent = np.divmod(pairs, width)  # beams counted through the batch
    parent += child // width * width
    offered = same.reshape(-1, classes).take(child, axis=0)
    k = offered.argmax(axis=1)
    growth = parent * classes + k
    is_offered = offered.any(axis=1)  # a child's last class may not be among this step's
    child, growth = child[is_offered], growth[is_offered]
    held.reshape(-1)[child] += grown.take(growth)
    grown.reshape(-1)[growth] = 0


def _hash(names: NDArray[np.uint64], codes: Ints) -> NDArray[np.uint64]:
    """The hashes of prefixes after each has grown by one class."""
    mixed = (names + codes.astype(np.uint64)) * _HASH_FACTOR
    return mixed ^ (mixed >> np.uint64(29))


def _traced(came_from: Ints, grew_by: Ints) -> Ints:
    """Follow the beams back: (A, N, W) → the classes of each final beam, 0 where it stayed."""
    length, batch, width = came_from.shape
    offset = np.arange(batch)[:, None] * width
    beam = np.tile(np.arange(width), (batch, 1))
    codes = np.zeros((length, batch, width), np.int64)
    for t in range(length - 1, -1, -1):
        beam += offset
        codes[t] = grew_by[t].take(beam)
        beam = came_from[t].take(beam)
    return codes


def _hypotheses(
    beams: _Beams, log_scale: Floats, codes: Ints, best: int, fusion: Fusion | None
) -> list[list[Hypothesis]]:
    """The best of the final beams, as texts with their scores."""
    with np.errstate(divide="ignore"):
        log_prob = np.log(beams.ended + beams.open) + log_scale[:, None]
    score = log_prob + beams.added
    if fusion:
        score += fusion.end(beams.state)
    order = np.argsort(-score, axis=1, kind="stable")[:, :best]
    return [list(_of_line(n, order[n], log_prob, score, codes)) for n in range(len(order))]


def _of_line(
    n: int, beams: Ints, log_prob: Floats, score: Floats, codes: Ints
) -> Iterator[Hypothesis]:
    for w in beams:
        if np.isfinite(score[n, w]):
            own = codes[:, n, w]
            yield Hypothesis(own[own > 0], float(log_prob[n, w]), float(score[n, w]))
