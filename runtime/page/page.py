"""The result of reading a page."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.line import Line
from crnn_runtime.page.boxes import Polygon
from crnn_runtime.page.crops import crop_size, to_page


@dataclass(frozen=True, slots=True, eq=False)
class PageChar:
    """One character on a page.

    Attributes:
        char: the character.
        confidence: see `crnn_runtime.line.Char`.
        polygon: (4, 2) its corners in pixels of the page, clockwise from the character's own
            upper left one.
    """

    char: str
    confidence: float
    polygon: Polygon


@dataclass(frozen=True, slots=True, eq=False)
class PageLine:
    """A line of text on a page.

    Attributes:
        line: what was read, positions in pixels of the crop.
        polygon: (4, 2) its corners in pixels of the page, clockwise from the text's own upper
            left one: of a text that stands on its head that is the lower right corner.
        score: how sure the detector is, 0 to 1.
        block: lines with the same number stand together in a column; numbered in reading
            order, from 0.
        crop: (h, w, 3) RGB, the line cut out and upright, if it was asked for.
    """

    line: Line
    polygon: Polygon
    score: float
    block: int = 0
    crop: NDArray[np.uint8] | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """The text of the line."""
        return self.line.text

    @property
    def confidence(self) -> float:
        """The reader's confidence, see `Line.confidence`."""
        return self.line.confidence

    @property
    def angle(self) -> float:
        """Degrees by which the text is turned clockwise, from -180 to 180."""
        along = self.polygon[1] - self.polygon[0]
        return float(np.degrees(np.arctan2(along[1], along[0])))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the least upright rectangle around it, in pixels of the page."""
        (x0, y0), (x1, y1) = self.polygon.min(0).tolist(), self.polygon.max(0).tolist()
        return x0, y0, x1, y1

    @property
    def chars(self) -> tuple[PageChar, ...]:
        """Its characters on the page."""
        chars = self.line.chars
        if not chars:
            return ()
        high = float(crop_size(self.polygon)[0])
        corners = np.array(
            [[(c.x0, 0), (c.x1, 0), (c.x1, high), (c.x0, high)] for c in chars], np.float32
        )
        placed = to_page(self.polygon, corners).reshape(-1, 4, 2)
        return tuple(
            PageChar(char.char, char.confidence, polygon)
            for char, polygon in zip(chars, placed, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """The lines that were read on one picture.

    Attributes:
        width: of the picture in pixels; 0 if it could not be read.
        height: of the picture in pixels; 0 if it could not be read.
        lines: in reading order: columns, then lines, then left to right.
        error: why the picture could not be read, None if it was.
    """

    width: int
    height: int
    lines: tuple[PageLine, ...] = field(default=())
    error: str | None = None

    @property
    def text(self) -> str:
        """The lines, one below the other, with an empty one between blocks."""
        return "\n\n".join("\n".join(line.text for line in block) for block in self.blocks())

    def blocks(self) -> Iterator[list[PageLine]]:
        """The lines that stand together, in reading order."""
        for _, lines in groupby(self.lines, key=lambda line: line.block):
            yield list(lines)

    @classmethod
    def unread(cls, reason: str) -> "Page":
        """The page of a picture that could not be read."""
        return cls(0, 0, error=reason)
