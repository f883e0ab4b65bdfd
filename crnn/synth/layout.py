"""A line of glyphs as one alpha mask, with the box of every character."""

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crnn.synth.fonts import Face
from crnn.synth.glyphs import Glyph, GlyphCache, Mask

Boxes = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A rendered line before any distortion.

    Attributes:
        alpha: ink coverage 0..255, cropped to the band of the line.
        boxes: (N, 4) x0, y0, x1, y1 of each character in ``alpha``; a character
            without ink, such as the space, has its advance as the x-range.
        size: pixels per em.
    """

    alpha: Mask
    boxes: Boxes
    size: int


def lay_out(
    cache: GlyphCache,
    face: Face,
    size: int,
    text: str,
    rng: random.Random,
    *,
    spacing: float = 0.0,
    jitter: float = 0.0,
) -> Layout | None:
    """Set ``text`` on a straight baseline.

    Args:
        cache: where the glyphs come from.
        face: must cover the text.
        size: pixels per em.
        text: at least one character.
        rng: of the baseline jitter.
        spacing: added after every glyph, in em.
        jitter: standard deviation of each glyph's vertical offset, in em.

    Returns:
        None if the face has a blank glyph where there should be ink.
    """
    glyphs = [cache.glyph(face, size, character) for character in text]
    if any(
        glyph.mask is None and not character.isspace()
        for glyph, character in zip(glyphs, text, strict=True)
    ):
        return None
    pen, pens = 0.0, []
    for glyph in glyphs:
        pens.append(pen)
        pen += max(1.0, glyph.advance + spacing * size)
    drops = [round(rng.gauss(0, jitter * size)) if jitter else 0 for _ in glyphs]
    return _compose(glyphs, pens, drops, pen, size)


def _compose(
    glyphs: Sequence[Glyph], pens: Sequence[float], drops: Sequence[int], end: float, size: int
) -> Layout:
    boxes = np.zeros((len(glyphs), 4), np.float32)
    # The band holds at least the x-height, so that a lone dash is not magnified.
    x0, y0, x1, y1 = 0, -size // 2, round(end), 0
    for box, glyph, pen, drop in zip(boxes, glyphs, pens, drops, strict=True):
        if glyph.mask is None:
            box[:] = pen, -size // 2, pen + glyph.advance, 0
            continue
        left, top = round(pen) + glyph.left, glyph.top + drop
        height, width = glyph.mask.shape
        box[:] = left, top, left + width, top + height
        x0, y0 = min(x0, left), min(y0, top)
        x1, y1 = max(x1, left + width), max(y1, top + height)
    alpha = np.zeros((y1 - y0, x1 - x0), np.uint8)
    for box, glyph in zip(boxes, glyphs, strict=True):
        if glyph.mask is None:
            continue
        left, top = int(box[0]) - x0, int(box[1]) - y0
        height, width = glyph.mask.shape
        cell = alpha[top : top + height, left : left + width]
        np.maximum(cell, glyph.mask, out=cell)  # neighbours may overlap
    boxes -= np.float32([x0, y0, x0, y0])
    return Layout(alpha, boxes, size)
