"""The probabilities that decoding works on: a few classes at every time step, whatever the head.

Characters are allowed or denied here, before anything is decided. The allowed ones
keep the probabilities that the model gave them; nothing is normalised anew, so a
reading that the model did not favour keeps its low confidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ModelError
from crnn_runtime.model.alphabet import Alphabet

Outputs = Mapping[str, NDArray[Any]]
"""Output name → array of a batch, as `Backend.infer` gives them; see `OUTPUT_NAMES`."""

BLANK = 0


@dataclass(frozen=True, slots=True)
class Lattice:
    """The most probable classes of every time step, best first.

    Attributes:
        ids: (N, T, K) classes.
        log_probs: (N, T, K) natural logarithms of their probabilities.
        rest: (N, T) logarithm of what each class counts with that a ``topk`` head
            did not give: an equal share of the probability that is missing.
        steps: (N,) time steps of each line; later ones are padding.
        dense: (N, T, C) of all classes, where the head gives them.
    """

    ids: NDArray[np.int64]
    log_probs: NDArray[np.float64]
    rest: NDArray[np.float64]
    steps: NDArray[np.int64]
    dense: NDArray[np.floating] | None = None

    def of_lines(self, lines: slice) -> "Lattice":
        """The lattice of some of its lines."""
        return Lattice(
            self.ids[lines],
            self.log_probs[lines],
            self.rest[lines],
            self.steps[lines],
            None if self.dense is None else self.dense[lines],
        )

    def of_classes(self, codes: NDArray[np.integer]) -> NDArray[np.float64]:
        """Logarithm of the probability (N, T, L) of classes (N, L) at every step."""
        if self.dense is not None:
            columns = np.broadcast_to(codes[:, None, :], (*self.ids.shape[:2], codes.shape[1]))
            return np.take_along_axis(self.dense, columns, axis=2).astype(np.float64)
        batch, length, count = self.ids.shape
        found = np.broadcast_to(self.rest[:, :, None], (batch, length, codes.shape[1])).copy()
        wanted = codes[:, None, :]
        for k in range(count):
            np.copyto(found, self.log_probs[:, :, k, None], where=self.ids[:, :, k, None] == wanted)
        return found


def to_lattice(
    outputs: Outputs,
    steps: NDArray[np.integer],
    *,
    alphabet: Alphabet,
    top_k: int | None = None,
    permitted: NDArray[np.bool_] | None = None,
) -> Lattice:
    """Keeps the ``top_k`` best permitted classes of the outputs of a ``topk`` or ``log-probs``
    head.

    If all classes that a ``topk`` head gave for a step are forbidden, nothing is known
    of the permitted ones: the step becomes a blank, with the probability that the head
    left to the classes it did not give.

    Args:
        outputs: of the model.
        steps: (N,) valid steps of each line.
        alphabet: of the model.
        top_k: classes kept per step, None for all.
        permitted: (C,) which classes may be read, None for all; the blank always may.

    Raises:
        ModelError: the model has other classes than its alphabet.
    """
    num_classes = alphabet.num_classes
    if "log_probs" in outputs:
        dense = outputs["log_probs"]
        if dense.shape[2] != num_classes:
            raise ModelError(
                f"the model gives {dense.shape[2]} classes but its alphabet makes {num_classes}: "
                "the alphabet belongs to another model"
            )
        known = np.minimum(steps, dense.shape[1]).astype(np.int64)
        if permitted is not None:
            dense = np.where(permitted, dense, -np.inf)
        ids = best_classes(dense, min(top_k or num_classes, dense.shape[2]))
        chosen = np.take_along_axis(dense, ids, axis=2).astype(np.float64)
        rest = np.full(ids.shape[:2], -np.inf)
        return Lattice(ids, chosen, rest, known, dense)
    ids = outputs["topk_ids"].astype(np.int64)
    alphabet.check_class(int(ids.max(initial=0)))
    log_probs = outputs["topk_log_probs"].astype(np.float64)
    known = np.minimum(steps, ids.shape[1]).astype(np.int64)
    missing = np.maximum(1 - np.exp(log_probs).sum(axis=2), np.finfo(np.float32).tiny)
    unlisted = num_classes - ids.shape[2]
    rest = np.log(missing / unlisted) if unlisted > 0 else np.full(missing.shape, -np.inf)
    if permitted is not None:
        log_probs = np.where(permitted[ids], log_probs, -np.inf)
        none_left = np.isneginf(log_probs).all(axis=2)
        ids[none_left, 0] = BLANK
        log_probs[none_left, 0] = np.log(missing[none_left])
        order = np.argsort(-log_probs, axis=2, kind="stable")
        ids = np.take_along_axis(ids, order, axis=2)
        log_probs = np.take_along_axis(log_probs, order, axis=2)
    return Lattice(ids[:, :, :top_k], log_probs[:, :, :top_k], rest, known)


def best_classes(log_probs: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """The k best of the C classes per step, (N, T, C) → (N, T, k), best first.

    In two rounds, because a partial sort of thousands of classes would take longer
    than the search: the k best classes lie in the k groups with the best maxima.
    """
    batch, length, classes = log_probs.shape
    size = int(np.sqrt(classes / k))  # of a group: makes both rounds equally long
    if size < 3:
        return _partial_sort(log_probs, k)
    groups = classes // size
    grouped = log_probs[:, :, : size * groups].reshape(batch, length, size, groups)
    chosen = _partial_sort(grouped.max(axis=2), k)
    members = chosen[:, :, :, None] + groups * np.arange(size)
    left_over = np.broadcast_to(
        np.arange(size * groups, classes), (batch, length, classes - size * groups)
    )
    candidates = np.concatenate([members.reshape(batch, length, k * size), left_over], axis=2)
    values = np.take_along_axis(log_probs, candidates, axis=2)
    return np.take_along_axis(candidates, _partial_sort(values, k), axis=2)


def _partial_sort(values: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Indices of the k greatest along the last axis, the greatest first."""
    best = np.argpartition(-values, k - 1, axis=-1)[..., :k]
    order = np.argsort(-np.take_along_axis(values, best, axis=-1), axis=-1, kind="stable")
    return np.take_along_axis(best, order, axis=-1)


@dataclass(frozen=True, slots=True)
class Spans:
    """The places of the characters of a batch of texts, all (N, L); undefined beyond a text's end.

    Attributes:
        first: first time step.
        last: last time step.
        log_prob: logarithm of the character's highest probability over its steps.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    log_prob: NDArray[np.float64]


def align(lattice: Lattice, codes: NDArray[np.integer], lengths: NDArray[np.integer]) -> Spans:
    """The most probable path of each line that reads as a given text (Viterbi).

    The states are those of the CTC forward pass (Graves et al. 2006, section 4.1):
    blank, first character, blank, second character, …, blank.

    Args:
        lattice: of N lines.
        codes: (N, L) classes of the texts' characters, padded at the end.
        lengths: (N,) characters of each text; each must fit into the line's steps.
    """
    batch, longest = codes.shape
    length = lattice.ids.shape[1]
    states = np.zeros((batch, 2 * longest + 1), np.int64)
    states[:, 1::2] = codes
    emitted = np.ascontiguousarray(lattice.of_classes(states).transpose(1, 0, 2))
    skips = np.zeros(states.shape, bool)  # a blank may be left out between unlike characters
    skips[:, 3::2] = codes[:, 1:] != codes[:, :-1]
    arrivals = np.full((3, *states.shape), -np.inf)
    moves = np.zeros((length, *states.shape), np.int64)
    score = np.full(states.shape, -np.inf)
    score[:, :2] = emitted[0, :, :2]
    final = score.copy()
    ending = np.bincount(lattice.steps, minlength=length + 1)
    for t in range(1, length):
        arrivals[0] = score
        arrivals[1, :, 1:] = score[:, :-1]
        np.copyto(arrivals[2, :, 2:], score[:, :-2], where=skips[:, 2:])
        arrivals.argmax(axis=0, out=moves[t])
        score = arrivals.max(axis=0)
        score += emitted[t]
        if ending[t + 1]:
            np.copyto(final, score, where=(lattice.steps == t + 1)[:, None])
    rows = np.arange(batch)
    end = 2 * lengths
    on_character = (lengths > 0) & (final[rows, end - 1] >= final[rows, end])
    state = rows * states.shape[1] + end - on_character  # counted through the batch
    outside = np.arange(length)[:, None] >= lattice.steps
    moves[outside] = 0
    path = np.empty((length, batch), np.int64)
    for t in range(length - 1, -1, -1):
        path[t] = state
        state = state - moves[t].take(state)
    path -= rows * states.shape[1]
    path[outside] = -1
    return _spans(path, emitted, longest)


def _spans(path: NDArray[np.int64], emitted: NDArray[np.float64], longest: int) -> Spans:
    """States (T, N) along the best paths → the characters' steps."""
    batch = path.shape[1]
    first = np.full((batch, longest), len(path), np.int64)
    last = np.full((batch, longest), -1, np.int64)
    log_prob = np.full((batch, longest), -np.inf)
    t, n = np.nonzero((path > 0) & (path % 2 == 1))
    where = (n, path[t, n] // 2)
    np.minimum.at(first, where, t)
    np.maximum.at(last, where, t)
    np.maximum.at(log_prob, where, emitted[t, n, path[t, n]])
    return Spans(first, last, log_prob)
