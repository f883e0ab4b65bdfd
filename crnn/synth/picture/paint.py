"""Colours and light: from ink coverage to an RGB picture."""

import colorsys
import random
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from crnn.synth.fonts.glyphs import Mask
from crnn.synth.picture.look import Look, pick
from crnn.synth.picture.texture import UNIT, Backgrounds

Colour = tuple[float, float, float]
Pixels = npt.NDArray[np.float32]


def _grey(level: float, rng: random.Random, tint: float = 0.0) -> Colour:
    return tuple(level + rng.gauss(0, tint) for _ in range(3))  # type: ignore[return-value]


def _vivid(rng: random.Random, value: tuple[float, float]) -> Colour:
    """Any hue at a brightness in ``value`` (0..1)."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.random() ** 0.7, rng.uniform(*value))
    return red * 255, green * 255, blue * 255


def _muted(rng: random.Random) -> Colour:
    """The colours of things in photographs: seldom pure."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.random() ** 1.7, rng.uniform(0.05, 0.95))
    return rgb[0] * 255, rgb[1] * 255, rgb[2] * 255


def _lit(colour: Colour, rng: random.Random) -> Colour:
    """A colour under some light."""
    light, haze = rng.uniform(0.55, 1.1), rng.uniform(0, 30)
    return tuple(haze + c * light + rng.gauss(0, 6) for c in colour)  # type: ignore[return-value]


_PAINTS: tuple[Colour, ...] = (
    (200, 25, 30), (225, 50, 40), (15, 80, 170), (0, 120, 75), (250, 200, 20), (240, 130, 20),
    (250, 250, 245), (25, 25, 28), (110, 70, 40), (180, 150, 90), (0, 150, 200), (120, 30, 90),
)  # fmt: skip
"""Colours in which signs, boxes and adverts are painted."""


def luma(colour: Colour) -> float:
    """Brightness of an RGB colour, 0..255 (ITU-R BT.601)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def grey_levels(rng: random.Random) -> tuple[Colour, Colour]:
    """The original's: dark grey ink on any lighter grey, often with little contrast."""
    paper = rng.uniform(75, 255)
    ink = max(0.0, paper - 40 - (paper - 40) * rng.random() ** 0.8)
    return _grey(ink, rng), _grey(paper, rng)


def print_(rng: random.Random) -> tuple[Colour, Colour]:
    """Black, seldom coloured, ink on paper; one line in twenty is white on dark."""
    paper = _grey(255 - rng.expovariate(1 / 22), rng, 4)
    ink = _grey(rng.uniform(0, 90), rng, 6)
    if rng.random() < 0.12:
        ink = _vivid(rng, (0.2, 0.75))
    if rng.random() < 0.05:
        return _grey(rng.uniform(225, 255), rng, 4), _vivid(rng, (0.05, 0.55))
    return ink, paper


def thermal(rng: random.Random) -> tuple[Colour, Colour]:
    """Receipts: from deep black to nearly gone, greyish, bluish or brownish."""
    paper = rng.uniform(205, 255)
    ink = rng.uniform(0, 200) if rng.random() < 0.45 else rng.uniform(0, 90)
    ink = min(ink, paper - 60)
    tone = rng.choice(((0, 0, 0), (0, 0, 0), (-14, -4, 26), (20, 4, -12)))
    share = ink / 220
    return (ink + tone[0] * share, ink + tone[1] * share, ink + tone[2] * share), _grey(
        paper, rng, 3
    )


def signs(rng: random.Random) -> tuple[Colour, Colour]:
    """Any two colours whose brightness differs enough to be read."""
    least = rng.uniform(55, 130)
    while True:
        one, other = _muted(rng), _muted(rng)
        kind = rng.random()
        if kind < 0.3:
            one = _grey(rng.choice((10, 30, 240, 252)), rng, 5)
        elif kind < 0.5:
            one = _lit(rng.choice(_PAINTS), rng)
        kind = rng.random()
        if kind < 0.35:
            other = _lit(rng.choice(_PAINTS), rng)
        elif kind < 0.55:
            other = _grey(rng.choice((20, 60, 128, 200, 235, 250)), rng, 5)
        if abs(luma(one) - luma(other)) > least:
            return one, other


def screens(rng: random.Random) -> tuple[Colour, Colour]:
    """Interfaces: dark or accented text on white, pale or coloured grounds, and dark mode."""
    kind = rng.random()
    if kind < 0.5:
        return _grey(rng.choice((0, 0, 34, 51, 85, 102, 136, 153)), rng), _grey(
            rng.choice((255, 255, 255, 250, 245, 238)), rng
        )
    if kind < 0.65:
        return _vivid(rng, (0.2, 0.85)), _grey(rng.choice((255, 250, 240)), rng)
    if kind < 0.8:
        return _grey(rng.choice((255, 230, 200, 180)), rng), _grey(rng.choice((0, 24, 40, 60)), rng)
    if kind < 0.92:
        return _grey(255, rng), _vivid(rng, (0.3, 0.8))
    return _grey(rng.uniform(0, 60), rng), _vivid(rng, (0.85, 1.0))


_PLATES: tuple[tuple[float, Colour, Colour], ...] = (
    (0.72, (238, 240, 245), (20, 70, 190)),  # white on blue
    (0.08, (20, 20, 20), (235, 180, 30)),  # black on yellow
    (0.12, (15, 25, 20), (120, 205, 140)),  # black on green, new energy
    (0.04, (20, 20, 25), (235, 235, 235)),  # white plates
    (0.04, (230, 230, 230), (25, 25, 28)),  # black plates
)


def plates(rng: random.Random) -> tuple[Colour, Colour]:
    """Chinese licence plates under any light."""
    _, ink, paper = rng.choices(_PLATES, [weight for weight, *_ in _PLATES])[0]
    light = 0.26 * 5 ** (rng.random() ** 0.7)  # from night to glare
    worn = rng.uniform(0, 0.35)
    cast = [rng.uniform(0.8, 1.2) for _ in range(3)]
    haze = rng.uniform(0, 45) * min(1.0, 1.5 * light)

    def lit(colour: Colour) -> Colour:
        return tuple(haze + c * light * k for c, k in zip(colour, cast, strict=True))

    faded = [i + (p - i) * worn for i, p in zip(ink, paper, strict=True)]
    return lit((faded[0], faded[1], faded[2])), lit(paper)


def leds(rng: random.Random) -> tuple[Colour, Colour]:
    """Glowing digits on a dark ground, or dark ones on a pale liquid crystal."""
    if rng.random() < 0.4:
        ground = rng.uniform(120, 190)
        return _grey(rng.uniform(10, 60), rng, 4), (ground * 0.95, ground, ground * 0.85)
    glow = rng.choice(
        ((255, 50, 30), (60, 255, 90), (255, 180, 40), (70, 160, 255), (245, 245, 255))
    )
    return glow, _grey(rng.uniform(5, 45), rng, 4)


def cards(rng: random.Random) -> tuple[Colour, Colour]:
    """Foil of silver, gold, white or black, or none, on plastic of any colour."""
    foil = rng.choice(((215, 218, 222), (225, 190, 110), (250, 250, 250), (20, 20, 22)))
    ground = rng.choice(
        (_vivid(rng, (0.2, 0.95)), _muted(rng), _grey(rng.uniform(15, 245), rng, 8))
    )
    return _lit(foil, rng), _lit(ground, rng)


def mixed(rng: random.Random) -> tuple[Colour, Colour]:
    """Any of the others."""
    return rng.choice((grey_levels, print_, thermal, signs, screens, leds))(rng)


PALETTES: dict[str, Callable[[random.Random], tuple[Colour, Colour]]] = {
    "card": cards,
    "grey": grey_levels,
    "led": leds,
    "mixed": mixed,
    "plate": plates,
    "print": print_,
    "screen": screens,
    "sign": signs,
    "thermal": thermal,
}
"""Name → a function that draws the colours of ink and paper."""


def paint(
    alpha: Mask,
    look: Look,
    rng: random.Random,
    textures: Backgrounds,
    panel: Mask | None = None,
) -> Pixels:
    """Lay the ink on a background, with its contour and shadow.

    Args:
        alpha: (H, W), coverage of the ink.
        look: how much of what.
        rng: of everything.
        textures: of the background.
        panel: (H, W), coverage of the plate; outside it is another colour.

    Returns:
        (H, W, 1) if the picture is grey, else (H, W, 3) RGB; 0..255 and beyond.
    """
    height, width = alpha.shape
    ink, paper = PALETTES[look.surface.palette](rng)
    grey = rng.random() < look.surface.grey
    if grey:
        ink, paper = (luma(ink),) * 3, (luma(paper),) * 3
    channels = 1 if grey else 3
    picture = np.empty((height, width, channels), np.float32)
    picture[:] = paper[:channels]
    kind = pick(rng, look.surface.backgrounds)
    if kind != "plain":
        piece = textures.draw(rng, kind, height, width)
        strength = rng.uniform(*look.surface.texture)
        # The texture may not drown the ink.
        strength = min(strength, 0.4 * abs(luma(ink) - luma(paper)))
        if grey and piece.shape[2] > 1:
            piece = piece.mean(2, keepdims=True)
        picture += piece.astype(np.float32) * np.float32(strength / UNIT)
        picture -= np.float32(128 * strength / UNIT)
    if panel is not None:
        _blend(picture, 255 - panel, _surroundings(rng))
    if shadow := look.ink.shadow.draw(rng):
        darkened = _shadow(alpha, shadow, rng).astype(np.float32)[:, :, None]
        picture += darkened * np.float32(-rng.uniform(30, 110) / 255)
    if outline := look.ink.outline.draw(rng):
        wide = np.asarray(cv2.dilate(alpha, _CROSS3, iterations=max(1, round(outline))), np.uint8)
        away = 255.0 if luma(ink) < 128 else 0.0
        _blend(picture, wide, _grey(away, rng, 5))
    if slope := look.ink.emboss.draw(rng):
        ink = _between(paper, ink, rng.random() ** 2)  # the foil on the heights wears off
        _blend(picture, alpha, ink)
        _press(picture, alpha, slope, rng)
    else:
        _blend(picture, alpha, ink)
    if change := look.surface.gradient.draw(rng):
        _light(picture, min(change, 0.8 * abs(luma(ink) - luma(paper))), rng)
    return picture


_CROSS3 = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def _blend(picture: Pixels, coverage: Mask, colour: Colour) -> None:
    channels = picture.shape[2]
    share = (coverage.astype(np.float32) * np.float32(1 / 255))[:, :, None]
    picture += (np.array(colour[:channels], np.float32) - picture) * share


def _between(one: Colour, other: Colour, share: float) -> Colour:
    return tuple(a + (b - a) * share for a, b in zip(one, other, strict=True))  # type: ignore[return-value]


def _press(picture: Pixels, alpha: Mask, slope: float, rng: random.Random) -> None:
    """Light on the slopes of raised ink that face it, and shadow on the others."""
    height = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.8, 1.6)).astype(np.float32)
    toward = rng.choice((-1.0, 1.0)), rng.choice((-1.0, -1.0, -1.0, 1.0))
    kernel = np.array([[0, -toward[1], 0], [-toward[0], 0, toward[0]], [0, toward[1], 0]])
    relief = cv2.filter2D(height, -1, kernel.astype(np.float32))
    picture += (relief * np.float32(slope / 160))[:, :, None]


def _surroundings(rng: random.Random) -> Colour:
    """Returns the colour beside a plate: the car's paint, or its shadow."""
    dark = rng.random() < 0.4
    return _grey(rng.uniform(0, 50), rng, 6) if dark else _lit(_muted(rng), rng)


def _shadow(alpha: Mask, offset: float, rng: random.Random) -> Mask:
    move = np.array([[1, 0, offset * rng.choice((-1, 1, 1))], [0, 1, offset]], np.float32)
    moved = cv2.warpAffine(alpha, move, alpha.shape[::-1])
    return np.asarray(
        cv2.GaussianBlur(moved, (0, 0), 0.4 + offset * rng.uniform(0.1, 0.7)), np.uint8
    )


def _light(picture: Pixels, change: float, rng: random.Random) -> None:
    """Light that falls off from one corner or end to the other."""
    height, width, _ = picture.shape
    down, across = rng.uniform(-1, 1), rng.uniform(-1, 1)
    total = abs(down) + abs(across) + 1e-6
    rows = np.linspace(-down, down, height, dtype=np.float32)[:, None, None]
    columns = np.linspace(-across, across, width, dtype=np.float32)[None, :, None]
    picture += (rows + columns) * np.float32(change / 2 / total)
