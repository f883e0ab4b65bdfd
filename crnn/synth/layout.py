"""A line of glyphs as one alpha mask, with the box of every character."""

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crnn.synth.fonts import Face
from crnn.synth.glyphs import Glyph, GlyphCache, Mask
from crnn.synth.look import Look, draw

Boxes = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A line before it is warped.

    Attributes:
        alpha: ink coverage 0..255.
        boxes: (N, 4) x0, y0, x1, y1 of each character's ink in ``alpha``; one
            without ink, such as the space, has its advance as the x-range.
        size: pixels per em.
    """

    alpha: Mask
    boxes: Boxes
    size: int


def lay_out(
    cache: GlyphCache,
    faces: Sequence[Face],
    text: str,
    look: Look,
    rng: random.Random,
) -> Layout | None:
    """Set ``text`` on a straight baseline.

    Args:
        cache: where the glyphs come from.
        faces: the face of each character.
        text: at least one character.
        look: em, spacing, word space and wander.
        rng: of the chances.

    Returns:
        None if a face has a blank glyph where there should be ink.
    """
    size = look.em
    # By identity: hashing a face costs more than drawing a kept glyph.
    opened = {id(face): face for face in faces}
    aliased = look.aliased > 0 and rng.random() < look.aliased
    by_id = {number: cache.open(face, size, aliased) for number, face in opened.items()}
    fonts = [by_id[id(face)] for face in faces]
    glyphs = [font.glyph(character) for font, character in zip(fonts, text, strict=True)]
    for glyph, character in zip(glyphs, text, strict=True):
        if glyph.mask is None and not character.isspace():
            return None
    spacing, wider = draw(rng, look.spacing) * size, draw(rng, look.word_space) * size
    wander = draw(rng, look.wander) * size
    pen, pens = 0.0, []
    previous = ""
    for font, glyph, character in zip(fonts, glyphs, text, strict=True):
        if previous:
            pen += font.kerning(previous + character)
        pens.append(pen)
        pen += max(1.0, glyph.advance + spacing + (wider if character == " " else 0.0))
        previous = character if character.isascii() and character.isalpha() else ""
    drops = [round(rng.gauss(0, wander)) for _ in glyphs] if wander else [0] * len(glyphs)
    return _compose(glyphs, pens, drops, size)


def _compose(
    glyphs: Sequence[Glyph], pens: Sequence[float], drops: Sequence[int], size: int
) -> Layout:
    # The band holds at least the x-height, so that a lone dash is not magnified.
    x0, y0, x1, y1 = size, -size // 2, 0, 0
    places = []
    for glyph, pen, drop in zip(glyphs, pens, drops, strict=True):
        if glyph.mask is None:
            box = (round(pen), -size // 2, max(round(pen) + 1, round(pen + glyph.advance)), 0)
        else:
            height, width = glyph.mask.shape
            left, top = round(pen) + glyph.left, glyph.top + drop
            box = (left, top, left + width, top + height)
        places.append(box)
        x0, y0 = min(x0, box[0]), min(y0, box[1])
        x1, y1 = max(x1, box[2]), max(y1, box[3])
    alpha = np.zeros((y1 - y0, x1 - x0), np.uint8)
    covered = x0
    for glyph, (left, top, right, bottom) in zip(glyphs, places, strict=True):
        if glyph.mask is None:
            continue
        cell = alpha[top - y0 : bottom - y0, left - x0 : right - x0]
        if left >= covered:
            cell[:] = glyph.mask
        else:  # neighbours overlap
            np.maximum(cell, glyph.mask, out=cell)
        covered = max(covered, right)
    boxes = np.array(places, np.float32) - np.array([x0, y0, x0, y0], np.float32)
    return Layout(alpha, boxes, size)
