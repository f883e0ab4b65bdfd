"""A line of glyphs as one alpha mask, with the box of every character."""

import dataclasses
import random
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from crnn.synth.fonts.faces import Face
from crnn.synth.fonts.glyphs import Glyph, GlyphCache, Mask, SizedFace
from crnn.synth.picture.look import Look

Boxes = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A line before it is warped.

    Attributes:
        alpha: ink coverage 0..255.
        boxes: (N, 4) x0, y0, x1, y1 of each character's ink in ``alpha``; one
            without ink, such as the space, has its advance as the x-range.
        size: pixels per em.
        panel: coverage 0..255 of the plate that the line stands on; None is everywhere.
    """

    alpha: Mask
    boxes: Boxes
    size: int
    panel: Mask | None = None


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
        look: its setting; of its ink what differs from glyph to glyph.
        rng: of the chances.

    Returns:
        None if a face has a blank glyph where there should be ink.
    """
    size = look.setting.em
    # By identity: hashing a face costs more than drawing a kept glyph.
    opened = {id(face): face for face in faces}
    aliased = look.ink.aliased > 0 and rng.random() < look.ink.aliased
    by_id = {number: cache.open(face, size, aliased) for number, face in opened.items()}
    fonts = [by_id[id(face)] for face in faces]
    glyphs = [font.glyph(character) for font, character in zip(fonts, text, strict=True)]
    for glyph, character in zip(glyphs, text, strict=True):
        if glyph.mask is None and not character.isspace():
            return None
    setting = look.setting
    spacing, wider = setting.spacing.draw(rng) * size, setting.word_space.draw(rng) * size
    if len(text) <= _SHORT and " " not in text:
        spacing = max(spacing, setting.spread.draw(rng) * size)
    wander = setting.wander.draw(rng) * size
    if ghost := look.ink.ghost.draw(rng):
        glyphs = [_lit(*pair, ghost) for pair in zip(fonts, glyphs, strict=True)]
    if pressure := look.ink.pressure.draw(rng):
        glyphs = [_struck(glyph, pressure, rng) for glyph in glyphs]
    cell = setting.cells.draw(rng)
    if cell:
        glyphs = [_in_cell(glyph, cell, size) for glyph in glyphs]
    pen, pens = 0.0, []
    previous = ""
    for font, glyph, character in zip(fonts, glyphs, text, strict=True):
        if previous and not cell:
            pen += font.kerning(previous + character)
        pens.append(pen)
        pen += max(1.0, glyph.advance + spacing)
        if character == " ":
            pen += setting.gap.draw(rng) * size or wider
        previous = character if character.isascii() and character.isalpha() else ""
    drops = [round(rng.gauss(0, wander)) for _ in glyphs] if wander else [0] * len(glyphs)
    return _compose(glyphs, pens, drops, size)


_SHORT = 6  # characters of a text that is set far apart


def _lit(font: SizedFace, glyph: Glyph, ghost: float) -> Glyph:
    """A glyph of a display with all segments of an 8 behind it, ``ghost`` (0..1) as strong."""
    eight = font.glyph("8")
    if font.face.kind != "segment" or glyph.mask is None or eight.mask is None:
        return glyph
    mask = (eight.mask * ghost).astype(np.uint8)
    x, y = glyph.left - eight.left, glyph.top - eight.top
    rows, columns = glyph.mask.shape
    part = mask[max(0, y) : y + rows, max(0, x) : x + columns]
    if part.shape != glyph.mask.shape:  # a point beside the digits
        return glyph
    np.maximum(part, glyph.mask, out=part)
    return Glyph(mask, eight.left, eight.top, glyph.advance)


def _struck(glyph: Glyph, lost: float, rng: random.Random) -> Glyph:
    """A glyph with less ink all over and towards one of its sides."""
    if glyph.mask is None:
        return glyph
    overall, towards = lost * rng.random() ** 2, lost * rng.random() ** 2
    fall = np.linspace(1 - overall, 1 - overall - towards, glyph.mask.shape[rng.random() < 0.4])
    fall = np.clip(fall, 0.35, 1).astype(np.float32)
    if rng.random() < 0.5:
        fall = fall[::-1]
    across = glyph.mask.shape[1] == len(fall)
    struck = glyph.mask * (fall[None, :] if across else fall[:, None])
    return Glyph(struck.astype(np.uint8), glyph.left, glyph.top, glyph.advance)


_CAPITAL, _DOT = 0.72, 0.12  # em, height of a cell; of that, size of a dot
_SMALL, _NARROW = 0.6, 0.36  # of the cell's height: a dot; of the ink's height: a 1 or an I


def _in_cell(glyph: Glyph, width: float, size: int) -> Glyph:
    """The glyph as high as a cell and, unless it is narrow, as wide."""
    if glyph.mask is None:
        return glyph
    high = max(2, round(_CAPITAL * size))
    wide = max(2, round(width * high))
    x, y, columns, rows = cv2.boundingRect(glyph.mask)  # masks reach to the baseline
    ink = glyph.mask[y : y + rows, x : x + columns]
    if rows < _SMALL * high:  # a dot: in the middle, and no cell of its own
        dot = max(2, round(_DOT * high))
        return Glyph(_scaled(ink, dot, dot), 0, -(high + dot) // 2, float(dot))
    across = wide if columns > _NARROW * rows else max(1, round(columns * high / rows))
    return Glyph(_scaled(ink, across, high), (wide - across) // 2, -high, float(wide))


def _scaled(mask: Mask, columns: int, rows: int) -> Mask:
    return np.asarray(cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


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
