"""Lines wider than a model reads at once: cut with overlap, read, joined.

Neither squeezing such a line (its letters would become unreadable) nor refusing
it helps anyone. Consecutive pieces share `OVERLAP` line heights; each is trusted
up to a seam in the middle of the widest gap between characters there, so the
characters that a cut damaged are never used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.decode.ctc import line_confidence
from crnn_runtime.errors import ImageError
from crnn_runtime.line import Char, Line
from crnn_runtime.model.card import ModelCard

OVERLAP = 3.0
"""Of consecutive pieces, in line heights: a few characters of any script."""
MAX_ASPECT = 2000
"""Width over height beyond which an image is taken for a mistake."""
MAX_TALL = 32
"""Height over width beyond which it is: a line would be squeezed to a column."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a source image, from top to bottom. Lengths are in pixels of the source.

    Attributes:
        offset: its left edge.
        width: of the piece.
        height: of the source.
    """

    offset: int
    width: int
    height: int

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Its pixels, (H, w) or (H, w, C): a view of the source image.

        That may have been decoded smaller if this is its only piece.
        """
        return image[:, self.offset : self.offset + self.width]


def cut(height: int, width: int, card: ModelCard) -> list[Piece]:
    """The pieces of a line, from left to right; one unless it is too wide for the model.

    Raises:
        ImageError: it is more than `MAX_ASPECT` times as wide as high, or `MAX_TALL` times
            as high as wide.
    """
    if width > MAX_ASPECT * height:
        raise ImageError(
            f"image is {width} × {height} pixels, more than {MAX_ASPECT} times as wide as high: "
            "cut out the line first"
        )
    if height > MAX_TALL * width:
        raise ImageError(
            f"image is {width} × {height} pixels, more than {MAX_TALL} times as high as wide: "
            "cut out the line first, or turn it"
        )
    step = card.time_stride * height / card.height  # of one time step, in pixels of the source
    # A step less than the model takes: room for the last piece, which ends with the line.
    longest = max(1, (card.max_width - card.time_stride) * height // card.height)
    if card.width is not None or width <= longest:
        return [Piece(0, width, height)]
    overlap = min(int(OVERLAP * height), longest // 3)
    count = -(-(width - overlap) // (longest - overlap))
    # Equal distances, so that no sliver is left, and whole time steps, so that a
    # network sees the columns of the pieces as it would see those of the whole.
    steps = np.floor(np.linspace(0, width - longest, count) / step)
    offsets = (steps * step).round().astype(int).tolist()
    ends = [offset + longest for offset in offsets[:-1]] + [width]
    return [Piece(start, end - start, height) for start, end in zip(offsets, ends, strict=True)]


def join(pieces: Sequence[Piece], readings: Sequence[Line], card: ModelCard) -> Line:
    """The readings of a line's pieces, positions in pixels of the pieces, as one line."""
    if len(pieces) == 1:
        return readings[0]
    placed = [
        [Char(c.char, c.confidence, c.x0 + piece.offset, c.x1 + piece.offset) for c in line.chars]
        for piece, line in zip(pieces, readings, strict=True)
    ]
    seams = [
        _seam(left, after.offset, before.offset + before.width)
        for before, after, left in zip(pieces, pieces[1:], placed, strict=False)
    ]
    bounds = [-np.inf, *seams, np.inf]
    chars: list[Char] = []
    raw = ""
    for number, (piece, line) in enumerate(zip(pieces, readings, strict=True)):
        start, end = bounds[number : number + 2]
        chars += [c for c in placed[number] if start <= (c.x0 + c.x1) / 2 < end]
        raw += line.raw[_step(start, piece, line, card) : _step(end, piece, line, card)]
    scores = [c.confidence for c in chars] or [line.confidence for line in readings]
    return Line(
        text="".join(c.char for c in chars),
        confidence=line_confidence(np.array(scores)),
        raw=raw,
        chars=tuple(chars),
        pieces=len(pieces),
    )


def _seam(chars: Sequence[Char], start: float, end: float) -> float:
    """The middle of the widest gap in the middle half of an overlap."""
    quarter = (end - start) / 4
    start, end = start + quarter, end - quarter
    edges = [start]
    for char in chars:
        if char.x1 > start and char.x0 < end:
            edges += [max(char.x0, start), min(char.x1, end)]
    edges.append(end)
    gaps = [
        (right - left, (left + right) / 2)
        for left, right in zip(edges[::2], edges[1::2], strict=True)
    ]
    return max(gaps)[1]


def _step(x: float, piece: Piece, line: Line, card: ModelCard) -> int:
    """The first time step of a piece at or right of ``x`` in pixels of the source."""
    if np.isinf(x):
        return 0 if x < 0 else len(line.raw)
    scaled = (x - piece.offset) * card.height / piece.height
    step = int(np.ceil((scaled - 0.5 - card.time_origin) / card.time_stride))
    return min(max(step, 0), len(line.raw))
