"""Best-path CTC decoding, vectorised over the batch (Graves et al. 2006, section 3.2)."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.decode.lattice import Outputs, to_lattice
from crnn_runtime.decode.reading import Reading
from crnn_runtime.model.alphabet import Alphabet


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

    def by_line(self, lines: int) -> list[slice]:
        """Returns the slice of runs that belongs to each line of the batch."""
        bounds = np.searchsorted(self.line, np.arange(lines + 1)).tolist()
        return [slice(start, end) for start, end in pairwise(bounds)]


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


class GreedyDecoder:
    """The best path: the best class of every step, repeats collapsed, blanks dropped.

    Args:
        alphabet: of the model.
        permitted: (C,) which classes may be read, None for all.
    """

    whole_lines = False

    def __init__(self, alphabet: Alphabet, permitted: NDArray[np.bool_] | None = None) -> None:
        self._alphabet = alphabet
        self._permitted = permitted

    def decode(self, outputs: Outputs, steps: NDArray[np.integer]) -> list[Reading]:
        """See `Decoder.decode`; with every class permitted, any head will do."""
        if self._permitted is None:
            ids, probs = best_path(outputs)
        else:
            lattice = to_lattice(
                outputs, steps, top_k=1, alphabet=self._alphabet, permitted=self._permitted
            )
            ids, probs = lattice.ids[:, :, 0], np.exp(lattice.log_probs[:, :, 0])
        steps = np.minimum(steps, ids.shape[1])
        runs = greedy_runs(ids, probs, steps)
        self._alphabet.check_class(int(runs.code.max(initial=0)))
        readings = []
        for n, (own, count) in enumerate(zip(runs.by_line(len(ids)), steps, strict=True)):
            scores = runs.confidence[own]
            readings.append(
                Reading(
                    codes=runs.code[own],
                    first=runs.first[own],
                    last=runs.last[own],
                    confidences=scores,
                    confidence=line_confidence(scores if len(scores) else probs[n, :count]),
                    path=ids[n, :count],
                )
            )
        return readings


def decode_greedy(
    ids: NDArray[np.integer],
    probs: NDArray[np.floating],
    steps: NDArray[np.integer],
    alphabet: Alphabet,
) -> list[str]:
    """The texts that `GreedyDecoder` reads, from best classes and their probabilities (N, T).

    Raises:
        ModelError: a class lies beyond the alphabet.
    """
    readings = GreedyDecoder(alphabet).decode({"ids": ids, "probs": probs}, steps)
    return [alphabet.decode(reading.codes.tolist()) for reading in readings]


def best_path(outputs: Outputs) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """Any head's outputs → best class and its probability per step, both (N, T)."""
    if "ids" in outputs:
        return outputs["ids"], outputs["probs"]
    if "topk_ids" in outputs:
        return outputs["topk_ids"][:, :, 0], np.exp(outputs["topk_log_probs"][:, :, 0])
    log_probs = outputs["log_probs"]
    ids = log_probs.argmax(axis=2)
    return ids, np.exp(np.take_along_axis(log_probs, ids[:, :, None], axis=2)[:, :, 0])


def line_confidence(confidences: NDArray[np.floating]) -> float:
    """Geometric mean of the confidences, which does not fall with their number; of none, 0."""
    if not confidences.size:
        return 0.0
    tiny = np.finfo(np.float32).tiny
    return float(np.exp(np.mean(np.log(np.maximum(confidences, tiny)))))
