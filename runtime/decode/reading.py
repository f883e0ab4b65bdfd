"""A decoder's result: the text of a strip and its positions in time steps."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.decode.lattice import Outputs
from crnn_runtime.line import Alternative


@dataclass(frozen=True, slots=True)
class Reading:
    """The text of one line of a batch, with positions in time steps.

    Attributes:
        codes: (L,) class of each character.
        first: (L,) first time step of each character.
        last: (L,) last time step of each character.
        confidences: (L,) probability of each character.
        confidence: of the line.
        path: (T,) the best permitted class of every valid step.
        alternatives: what a search found, best first.
    """

    codes: NDArray[np.integer]
    first: NDArray[np.integer]
    last: NDArray[np.integer]
    confidences: NDArray[np.floating]
    confidence: float
    path: NDArray[np.integer]
    alternatives: tuple[Alternative, ...] = ()


class Decoder(Protocol):
    """Turns the outputs of a batch into readings; bound to one model, safe between threads."""

    whole_lines: bool
    """Whether it makes sense of whole lines only, not of pieces of them."""

    def decode(self, outputs: Outputs, steps: NDArray[np.integer]) -> list[Reading]:
        """Read every line of a batch.

        Args:
            outputs: what the model gave.
            steps: (N,) time steps of each line; the later ones are padding.

        Raises:
            ModelError: a class lies beyond the alphabet.
        """
        ...
