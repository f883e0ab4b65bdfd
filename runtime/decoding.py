"""What a model gives → what each line says: the one place where outputs become text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.alphabet import Alphabet
from crnn_runtime.ctc import check_codes, greedy_runs, line_confidence

Outputs = Mapping[str, NDArray[Any]]
"""Output name → array of a batch, as `Backend.infer` gives them; see `OUTPUT_NAMES`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one line of a batch says, positions in time steps.

    Attributes:
        codes: (L,) class of each character.
        first: (L,) first time step of each character.
        last: (L,) last time step of each character.
        confidences: (L,) probability of each character.
        confidence: of the line.
        path: (T,) the best class of every valid step.
    """

    codes: NDArray[np.integer]
    first: NDArray[np.integer]
    last: NDArray[np.integer]
    confidences: NDArray[np.floating]
    confidence: float
    path: NDArray[np.integer]


class Decoder(Protocol):
    """Turns the outputs of a batch into readings; bound to one model, safe between threads."""

    def decode(self, outputs: Outputs, steps: NDArray[np.integer]) -> list[Reading]:
        """Read every line of a batch.

        Args:
            outputs: what the model gave.
            steps: (N,) time steps of each line; the later ones are padding.

        Raises:
            ModelError: a class lies beyond the alphabet.
        """
        ...


class GreedyDecoder:
    """The best path: the best class of every step, repeats collapsed, blanks dropped.

    A character's confidence is the highest probability over its steps; a line's is
    the geometric mean of its characters', of an empty line, of its blanks'.
    """

    def __init__(self, alphabet: Alphabet) -> None:
        self._alphabet = alphabet

    def decode(self, outputs: Outputs, steps: NDArray[np.integer]) -> list[Reading]:
        """See `Decoder.decode`; any head will do."""
        ids, probs = best_path(outputs)
        steps = np.minimum(steps, ids.shape[1])
        runs = greedy_runs(ids, probs, steps)
        check_codes(runs.code, self._alphabet)
        bounds = np.searchsorted(runs.line, np.arange(len(ids) + 1))
        readings = []
        for n, count in enumerate(steps):
            own = slice(bounds[n], bounds[n + 1])
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


def best_path(outputs: Outputs) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """Any head's outputs → best class and its probability per step, both (N, T)."""
    if "ids" in outputs:
        return outputs["ids"], outputs["probs"]
    if "topk_ids" in outputs:
        return outputs["topk_ids"][:, :, 0], np.exp(outputs["topk_log_probs"][:, :, 0])
    log_probs = outputs["log_probs"]
    ids = log_probs.argmax(axis=2)
    return ids, np.exp(np.take_along_axis(log_probs, ids[:, :, None], axis=2)[:, :, 0])
