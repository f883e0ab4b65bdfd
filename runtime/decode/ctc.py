"""Best-path CTC decoding, vectorised over the batch (Graves et al. 2006, section 3.2)."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ModelError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard

BLANK_SIGN = "-"
"""How `raw_path` shows the blank; for the eye only, the alphabet may hold it too."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The characters of a batch: maximal runs of one class that is not the blank.

    All arrays have one element per run, ordered by line, then by time.

    Attributes:
        line: index of the line in the batch.
        code: the class.
        first: first time step.
        last: last time step.
        confidence: highest probability within the run.
    """

    line: NDArray[np.int64]
    code: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    confidence: NDArray[np.float32]


def greedy_runs(
    ids: NDArray[np.integer], probs: NDArray[np.floating], steps: NDArray[np.integer]
) -> Runs:
    """Collapse repeats and drop blanks (class 0) along the best path.

    Args:
        ids: (N, T) best class per step.
        probs: (N, T) probability of that class.
        steps: (N,) valid steps per line; later ones are padding and ignored.
    """
    batch, length = ids.shape
    if not ids.size:
        none = np.zeros(0, np.int64)
        return Runs(none, none, none, none, np.zeros(0, np.float32))
    starts_run = np.ones((batch, length), bool)  # a new line always starts a run
    np.not_equal(ids[:, 1:], ids[:, :-1], out=starts_run[:, 1:])
    ends_here = steps < length
    starts_run[np.flatnonzero(ends_here), steps[ends_here]] = True  # padding is a run of its own
    starts = np.flatnonzero(starts_run)
    ends = np.append(starts[1:], ids.size) - 1
    confidence = np.maximum.reduceat(probs.reshape(-1), starts)
    line, first = np.divmod(starts, length)
    code = ids.reshape(-1)[starts].astype(np.int64)
    kept = (code != 0) & (first < steps[line])
    return Runs(
        line=line[kept],
        code=code[kept],
        first=first[kept],
        last=ends[kept] - line[kept] * length,
        confidence=confidence[kept].astype(np.float32),
    )


def decode_greedy(
    ids: NDArray[np.integer],
    probs: NDArray[np.floating],
    steps: NDArray[np.integer],
    alphabet: Alphabet,
) -> list[str]:
    """The texts alone: see `greedy_runs`.

    Raises:
        ModelError: a class lies beyond the alphabet.
    """
    runs = greedy_runs(ids, probs, steps)
    check_codes(runs.code, alphabet)
    bounds = np.searchsorted(runs.line, np.arange(len(ids) + 1))
    characters = [alphabet.characters[code - 1] for code in runs.code]
    return ["".join(characters[start:end]) for start, end in pairwise(bounds)]


def check_codes(codes: NDArray[np.integer], alphabet: Alphabet) -> None:
    """Refuse classes that the alphabet lacks.

    Raises:
        ModelError: the model gives more classes than its alphabet has.
    """
    if codes.size and int(codes.max()) >= alphabet.num_classes:
        raise ModelError(
            f"the model gave class {int(codes.max())} but its alphabet makes "
            f"{alphabet.num_classes} classes: the alphabet belongs to another model"
        )


def char_spans(
    first: NDArray[np.integer], last: NDArray[np.integer], card: ModelCard, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Runs of time steps → left and right edges in pixels of the scaled line.

    Step t stands for the ``time_stride`` pixels around pixel ``time_origin + t ·
    time_stride``; a run covers those of its steps, cut off at the line's ends.
    Pixel p spans p to p + 1.
    """
    left = card.time_origin + 0.5 + (first - 0.5) * card.time_stride
    right = card.time_origin + 0.5 + (last + 0.5) * card.time_stride
    return np.clip(left, 0, width), np.clip(right, 0, width)


def line_confidence(confidences: NDArray[np.floating]) -> float:
    """Geometric mean of the confidences: unlike the product, it suits lines of any length."""
    tiny = np.finfo(np.float32).tiny
    return float(np.exp(np.mean(np.log(np.maximum(confidences, tiny)))))


def raw_path(ids: NDArray[np.integer], alphabet: Alphabet) -> str:
    """The best path of one line, (T,) → one character per step, blanks as `BLANK_SIGN`."""
    return "".join(alphabet.characters[code - 1] if code else BLANK_SIGN for code in ids.tolist())
