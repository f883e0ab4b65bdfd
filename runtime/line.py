"""The result of reading one image."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Char:
    """One character read.

    Attributes:
        char: the alphabet's entry: a character, of several code points if the entry is.
        confidence: its highest probability over the time steps it was the best class.
        x0: left edge in pixels of the source image, upright (see `Line.turned`).
        x1: right edge, likewise.
    """

    char: str
    confidence: float
    x0: float
    x1: float


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the texts that a line may say, from a search (see `Decoding`).

    Attributes:
        text: the characters.
        log_prob: natural logarithm of the text's probability given the image: the
            sum over all paths that the search kept.
        score: what alternatives are ranked by: `log_prob` and what the language
            model adds.
    """

    text: str
    log_prob: float
    score: float


@dataclass(frozen=True, slots=True)
class Line:
    """The text that was read in one image.

    Attributes:
        text: the characters.
        confidence: geometric mean of the characters' confidences; of an empty
            line, of the blanks'. After a search, see `crnn_runtime.decode.decoding`. 0 if the
            image could not be read.
        raw: the best class of every time step, blanks shown as ``-``.
        chars: the characters one by one.
        error: why the image could not be read, None if it was.
        pieces: in how many overlapping pieces it was read, 1 unless it is wider
            than the model reads at once.
        alternatives: the best texts, `text` first, if they were searched for and the
            line was read in one piece.
        turned: degrees, clockwise, by which the picture was turned to be read, beyond what
            its EXIF orientation says: 0, 90, 180 or 270. The places of `chars` are in the
            turned picture.
    """

    text: str
    confidence: float
    raw: str
    chars: tuple[Char, ...]
    error: str | None = None
    pieces: int = 1
    alternatives: tuple[Alternative, ...] = ()
    turned: int = 0

    @classmethod
    def unread(cls, why: str) -> Self:
        """The line of an image that could not be read."""
        return cls("", 0.0, "", (), why)
