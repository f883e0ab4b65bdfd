"""A sheet of paper that lines of text are set on, each with the rectangle that it takes."""

import dataclasses
import random
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from crnn.synth.fonts.faces import Face
from crnn.synth.fonts.glyphs import GlyphCache, Mask
from crnn.synth.picture.layout import Layout, lay_out
from crnn.synth.picture.look import NEVER
from crnn.synth.picture.looks import PLAIN

Polygon = npt.NDArray[np.float32]
"""(4, 2) x, y in pixels: clockwise from the corner where the text's first line would begin."""

_PLAIN = PLAIN.but(spacing=NEVER, word_space=NEVER)
_ASCENT, _DESCENT = 0.8, 0.2  # em above and below the baseline that any line takes
_ROOM = 0.08  # em around it, as people draw rectangles around lines
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclasses.dataclass(frozen=True)
class PageText:
    """A line of text on a page.

    Attributes:
        text: what it says.
        polygon: (4, 2) float32, its corners in pixels of the picture, clockwise from the
            text's own upper left one.
        block: lines of a paragraph, or cells of a table, have the same number; blocks are
            numbered in reading order.
    """

    text: str
    polygon: Polygon
    block: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Type:
    """A way to set lines: a face, pixels per em, and the distance of the baselines in em."""

    face: Face
    em: int
    leading: float = 1.5

    @property
    def pitch(self) -> int:
        """Pixels from one baseline to the next."""
        return round(self.em * self.leading)

    def sized(self, share: float) -> "Type":
        """The same face in another size."""
        return dataclasses.replace(self, em=max(8, round(self.em * share)))


class Sheet:
    """Ink on paper, as coverage; lines are set in reading order.

    Args:
        height: in pixels.
        width: in pixels.
        cache: where the glyphs come from.
        rng: of the chances.
    """

    def __init__(self, height: int, width: int, cache: GlyphCache, rng: random.Random) -> None:
        self.height, self.width = height, width
        self.ink: Mask = np.zeros((height, width), np.uint8)
        """(H, W), coverage 0..255."""
        self.inverse: Mask = np.zeros((height, width), np.uint8)
        """(H, W), 255 where ink and paper have changed places."""
        self.lines: list[PageText] = []
        self.rng = rng
        self._cache = cache
        self._block = 0

    def new_block(self) -> None:
        """Begins a new block: everything that is set from now on belongs together."""
        self._block += 1

    def measure(self, text: str, kind: Type) -> float:
        """Width of a text in pixels, without kerning."""
        face = self._cache.open(kind.face, kind.em)
        return sum(face.glyph(character).advance for character in text)

    def set(self, text: str, kind: Type, x: float, baseline: float, turn: int = 0) -> float:
        """Set a line whose first glyph begins at ``x``; gives its width in pixels.

        A text that has no ink, or that would leave the sheet, is left out and 0 given.

        Args:
            text: what to set.
            kind: how.
            x: left end, or, of a turned line, the left edge of its rectangle.
            baseline: its y, or, of a turned line, the upper edge of its rectangle.
            turn: degrees clockwise: 0, 90, 180 or 270.
        """
        text = text.strip()
        layout = self._laid(text, kind)
        if layout is None:
            return 0.0
        alpha, above = layout.alpha, self._ascent(text, kind)
        box = _bounds(layout, above)
        rows, columns = alpha.shape
        corners = np.array(
            [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]], np.float32
        )
        if turn:
            alpha = np.asarray(cv2.rotate(alpha, _TURNS[turn]), np.uint8)
            corners = _turned(corners, rows, columns, turn)
            left, top = round(x), round(baseline)
        else:
            left, top = round(x), round(baseline) - above
        high, wide = alpha.shape
        if left < 1 or top < 1 or left + wide > self.width - 1 or top + high > self.height - 1:
            return 0.0
        part = self.ink[top : top + high, left : left + wide]
        if part.any():  # no line is set over another
            return 0.0
        part[:] = alpha
        room = _ROOM * kind.em
        centre = corners.mean(0)
        corners += np.sign(corners - centre) * room + np.array([left, top], np.float32)
        self.lines.append(PageText(text, corners, self._block))
        return float(columns)

    def rule(self, x0: float, y0: float, x1: float, y1: float, thick: int = 1) -> None:
        """A straight line of ink."""
        start, end = (round(x0), round(y0)), (round(x1), round(y1))
        cv2.line(self.ink, start, end, self.rng.randint(120, 255), thick)

    def bar(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """White on dark."""
        self.inverse[max(0, round(y0)) : round(y1), max(0, round(x0)) : round(x1)] = 255

    def _ascent(self, text: str, kind: Type) -> int:
        """Rows of a line above its baseline, as `lay_out` makes it."""
        face = self._cache.open(kind.face, kind.em)
        return max(kind.em // 2, *(-face.glyph(character).top for character in text))

    def _laid(self, text: str, kind: Type) -> Layout | None:
        if not text or not kind.face.covers(text):
            return None
        look = _PLAIN.but(em=kind.em)
        return lay_out(self._cache, [kind.face] * len(text), text, look, self.rng)


def _bounds(layout: Layout, above: int) -> Sequence[float]:
    """x0, y0, x1, y1 of a line: its ink and its em, the baseline ``above`` rows down."""
    rows = np.flatnonzero(layout.alpha.any(1))
    columns = np.flatnonzero(layout.alpha.any(0))
    top = min(float(rows[0]), above - _ASCENT * layout.size)
    bottom = max(float(rows[-1] + 1), above + _DESCENT * layout.size)
    return float(columns[0]), top, float(columns[-1] + 1), bottom


def _turned(corners: Polygon, rows: int, columns: int, turn: int) -> Polygon:
    """Corners within a (rows, columns) picture once it is turned clockwise."""
    x, y = corners[:, 0], corners[:, 1]
    moved = {
        90: (rows - y, x),
        180: (columns - x, rows - y),
        270: (y, columns - x),
    }[turn]
    return np.stack(moved, 1).astype(np.float32)
