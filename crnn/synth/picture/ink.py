"""Draws with the ink: decorations around the text, and flaws of print."""

import math
import random

import cv2
import numpy as np
import numpy.typing as npt

from crnn.synth.fonts.glyphs import Mask
from crnn.synth.picture.layout import Layout
from crnn.synth.picture.look import Chance, Frame, Ink, Look, Range
from crnn.synth.picture.texture import UNIT, Backgrounds

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_GAP = 0.1  # em between the text and what surrounds it
_INTO = 0.06  # em by which neighbouring lines reach into the text


def print_line(layout: Layout, look: Look, rng: random.Random) -> Layout:
    """Change the strokes, then frame the line: margins, underline, rules, neighbours."""
    alpha = layout.alpha
    if bolder := look.ink.weight.draw(rng):
        alpha = _weigh(alpha, bolder)
    if pitch := look.ink.dots.draw(rng):
        alpha = _dots(alpha, max(3, round(pitch * layout.size)), rng.uniform(0.42, 0.66))
    framed = _frame(Layout(alpha, layout.boxes, layout.size), look.frame, rng)
    return _panel(framed, look.frame, rng)


def _weigh(alpha: Mask, bolder: float) -> Mask:
    """Strokes thicker or thinner by up to about a pixel on each side."""
    changed = cv2.dilate(alpha, _CROSS) if bolder > 0 else cv2.erode(alpha, _CROSS)
    share = min(1.0, abs(bolder))
    return np.asarray(cv2.addWeighted(changed, share, alpha, 1 - share, 0), np.uint8)


def _dots(alpha: Mask, pitch: int, radius: float) -> Mask:
    """Print by needles ``pitch`` pixels apart whose dots have a ``radius`` in pitches."""
    rows, columns = alpha.shape
    down, across = math.ceil(rows / pitch), math.ceil(columns / pitch)
    padded = np.zeros((down * pitch, across * pitch), np.uint8)
    padded[:rows, :columns] = alpha
    cells = cv2.resize(padded, (across, down), interpolation=cv2.INTER_AREA)
    fired = np.asarray(cells > 90, np.uint8) * 255
    offsets = np.arange(pitch, dtype=np.float32) - (pitch - 1) / 2
    distance = np.hypot(offsets[:, None], offsets[None, :])
    dot = np.clip((pitch * radius - distance) * 1.5, 0, 1)
    tiled = np.kron(fired, np.ones((pitch, pitch), np.uint8)) * np.tile(dot, (down, across))
    return np.asarray(tiled[:rows, :columns], np.uint8)


def _frame(layout: Layout, frame: Frame, rng: random.Random) -> Layout:
    size = layout.size
    top, bottom, left, right = (
        _space(rng, space, frame.tight) * size
        for space in (frame.crop, frame.crop, frame.sides, frame.sides)
    )
    # The text stays in sight: a tight crop may graze it only.
    least = -0.08 * layout.alpha.shape[0]
    top, bottom = max(least, top), max(least, bottom)
    under, rules, near = (c.draw(rng) for c in (frame.underline, frame.rules, frame.neighbours))
    if near:
        top, bottom = (
            max(side, near * size) if rng.random() < 0.65 else side for side in (top, bottom)
        )
    if under:
        bottom = max(bottom, (_GAP + under) * size + 1)
    canvas = _pad(layout.alpha, *(round(side) for side in (top, bottom, left, right)))
    shift = np.array([round(left), round(top)] * 2, np.float32)
    gap = round(_GAP * size)
    if near:
        _add_neighbours(canvas, layout.alpha, (round(top), round(bottom)), size, rng)
    if under:
        y = canvas.shape[0] - round(bottom) + rng.randint(1, gap)
        canvas[y : y + max(1, round(under * size)), round(max(0, left)) :] = 255
    if rules:
        _add_rules(canvas, max(1, round(rules * size)), rng)
    return Layout(canvas, layout.boxes + shift, size)


def _panel(layout: Layout, frame: Frame, rng: random.Random) -> Layout:
    """Put the line on a plate with an edge, a border and bolts, and show what is around it."""
    most = frame.panel.draw(rng) * layout.size
    if not most:
        return layout
    plate = layout.alpha.copy()
    if thick := frame.border.draw(rng) * layout.size:
        _add_border(plate, max(1, round(thick)), rng)
    _add_bolts(plate, rng)
    # Seldom the same on two sides, and often nothing at all.
    sides = [round(most * rng.random() ** 2) for _ in range(4)]
    panel = _pad(np.full_like(plate, 255), *sides)
    shift = np.array([sides[2], sides[0]] * 2, np.float32)
    return Layout(_pad(plate, *sides), layout.boxes + shift, layout.size, panel)


def _add_border(plate: Mask, thick: int, rng: random.Random) -> None:
    """A closed line a little inside the plate's edge."""
    rows, columns = plate.shape
    inset = rng.randint(0, thick + 1)
    strength = rng.randint(110, 255)
    far = columns - 1 - inset - thick // 2, rows - 1 - inset - thick // 2
    near = inset + thick // 2
    line = np.zeros_like(plate)
    cv2.rectangle(line, (near, near), far, strength, thick)
    np.maximum(plate, line, out=plate)


def _add_bolts(plate: Mask, rng: random.Random) -> None:
    """The heads of two or four bolts at the places that Chinese plates have them."""
    rows, columns = plate.shape
    radius = max(1, round(rows * rng.uniform(0.03, 0.07)))
    strength = rng.randint(40, 255)
    bolts = np.zeros_like(plate)
    for y in (0.08, 0.92):
        if rng.random() < 0.5:
            for x in (0.25, 0.75):
                centre = round(x * columns), round(y * rows)
                cv2.circle(bolts, centre, radius, strength, -1)
    np.maximum(plate, bolts, out=plate)


def _space(rng: random.Random, usual: Range, tight: Chance) -> float:
    """The space on one side, in em."""
    if tight.chance > 0 and rng.random() < tight.chance:
        return rng.uniform(tight.low, tight.high)
    return rng.uniform(*usual)


def _pad(alpha: Mask, top: int, bottom: int, left: int, right: int) -> Mask:
    """Add margins; a negative one cuts."""
    rows, columns = alpha.shape
    cut = alpha[max(0, -top) : rows - max(0, -bottom), max(0, -left) : columns - max(0, -right)]
    high, wide = cut.shape
    top, bottom, left, right = (max(0, side) for side in (top, bottom, left, right))
    canvas = np.zeros((high + top + bottom, wide + left + right), np.uint8)
    canvas[top : top + high, left : left + wide] = cut
    return canvas


def _add_neighbours(
    canvas: Mask, alpha: Mask, space: tuple[int, int], size: int, rng: random.Random
) -> None:
    """Fragments of the lines above and below in the ``space`` there, sometimes into the ink.

    They are the line's own ink moved sideways: only its edge is seen.
    """
    turned = np.roll(alpha, rng.randint(1, max(1, alpha.shape[1])), axis=1)
    wide = min(canvas.shape[1], turned.shape[1])
    for room, inward, ink in (
        (space[0], canvas, turned),
        (space[1], canvas[::-1], turned[::-1]),
    ):
        gap = round((rng.uniform(-_INTO, _GAP) if rng.random() < 0.5 else _GAP) * size)
        high = min(room - gap, *inward.shape[:1], *ink.shape[:1])
        if room > 0 and high > 0:  # the end of a line that lies beyond the picture
            band = inward[room - gap - high : room - gap, :wide]
            np.maximum(band, ink[-high:, :wide], out=band)


def _add_rules(canvas: Mask, thick: int, rng: random.Random) -> None:
    """Lines of a table at some of the picture's edges."""
    strength = rng.randint(90, 255)
    for side in range(4):
        if rng.random() < 0.5:
            continue
        inset = rng.randint(0, 2)
        edge = (canvas, canvas[::-1], canvas.T, canvas.T[::-1])[side]
        band = edge[inset : inset + thick]
        np.maximum(band, np.uint8(strength), out=band)


def wear(alpha: Mask, ink: Ink, rng: random.Random, textures: Backgrounds) -> Mask:
    """Ink that runs, breaks up or fades."""
    if run := ink.bleed.draw(rng):
        soft = cv2.GaussianBlur(alpha, (0, 0), run).astype(np.float32)
        ragged = _relief(textures, rng, "stone", alpha.shape) * rng.uniform(10, 45)
        level = rng.uniform(60, 120)
        alpha = np.asarray(
            np.clip((soft + ragged * (soft > 20) - level) * 3 + level, 0, 255), np.uint8
        )
    if lost := ink.fade.draw(rng):
        kind = rng.choice(("stone", "stone", "paper", "brushed"))
        patches = _relief(textures, rng, kind, alpha.shape)
        kept: npt.NDArray[np.float32] = np.clip(1 - lost * (0.5 + patches), 0.3, 1)
        alpha = np.asarray(alpha * kept, np.uint8)
    return alpha


def _relief(
    textures: Backgrounds, rng: random.Random, kind: str, shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """A texture of (H, W), about -1 to 1."""
    piece = textures.draw(rng, kind, shape[0], shape[1])[:, :, 0]
    return (piece.astype(np.float32) - 128) * np.float32(1 / UNIT)
