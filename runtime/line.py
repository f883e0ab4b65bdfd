"""What was read in one image."""

from dataclasses import dataclass

from crnn_runtime.ctc import Char


@dataclass(frozen=True, slots=True)
class Line:
    """What was read in one image.

    Attributes:
        text: the characters.
        confidence: geometric mean of the characters' confidences; of an empty
            line, of the blanks'. 0 if the image could not be read.
        raw: the best class of every time step, blanks shown as ``-``.
        chars: the characters one by one.
        error: why the image could not be read, None if it was.
        pieces: in how many overlapping pieces it was read, 1 unless it is wider
            than the model reads at once.
    """

    text: str
    confidence: float
    raw: str
    chars: tuple[Char, ...]
    error: str | None = None
    pieces: int = 1
