"""`Look`: what happens to a line between its glyphs and its pixels, as numbers."""

import dataclasses
import random
from collections.abc import Mapping

Range = tuple[float, float]
Chance = tuple[float, float, float]
"""Probability, then the range of the value when it happens."""

NEVER: Chance = (0.0, 0.0, 0.0)


def draw(rng: random.Random, chance: Chance) -> float:
    """A value of the range with the chance's probability, else 0."""
    probability, low, high = chance
    if probability <= 0 or rng.random() >= probability:
        return 0.0
    return low + (high - low) * rng.random()


def pick(rng: random.Random, weights: Mapping[str, float]) -> str:
    """A key, by weight; quicker than `random.choices` for a handful."""
    place = rng.random() * sum(weights.values())
    for key, weight in weights.items():
        place -= weight
        if place < 0:
            return key
    return key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """How lines of a preset look. Lengths are in em unless a pixel is named.

    Attributes:
        em: pixels per em at which glyphs are drawn before the line is scaled.
        height: height in pixels of the picture.
        width: fixed width in pixels; None follows the text.
        crop: space above and below the ink; negative cuts into it.
        sides: space left and right of the ink.
        tight: a side, any of the four, cut where the ink ends, as detectors cut lines;
            the value is the space that is left, in place of `crop` or `sides`.
        stretch: horizontal scale.
        spacing: space added after every glyph.
        word_space: width added to every space.
        gap: a space as wide as between the columns of a form; the value is its width.
        spread: characters of a short text without spaces set far apart, as in headings.
        wander: standard deviation of the glyphs' distance from the baseline.
        pressure: ink that differs from character to character and within one, as a
            typewriter's; the value is how much of it is lost at most.
        ghost: the unlit segments behind digits, as on displays; the value is their strength.
        latin_face: probability that the Latin part of a Chinese line has a face of its own.
        aliased: probability that glyphs are drawn without grey, as on old screens.
        weight: strokes made bolder (positive) or thinner, in pixels at `em`.
        dots: dot-matrix print; the value is the dot's pitch.
        cells: every character is fitted to a cell of one size, as on plates; the value
            is the width of the cell over its height. Narrow ones stand in its middle.
        stand_ins: character → one whose glyph is drawn in its place in half of the lines:
            alike where the fonts that are here differ from the print that is meant.
        silent_dot: characters before a middle dot that is drawn but is no part of the
            text, as on Chinese plates; 0 for none.
        underline: a line below the text; the value is its thickness.
        rules: table lines around the text; the value is their thickness.
        panel: the line stands on a plate; the value is how much of its surroundings is
            seen at most.
        border: thickness of a line around the plate.
        neighbours: how much of the lines above and below is seen, right at the ink or a
            little into it.
        rotate: degrees.
        shear: horizontal shift per height.
        perspective: shrinkage of one side against the other.
        curve: height of the arc that the baseline follows.
        elastic: amplitude in pixels of a smooth random displacement.
        palette: name of the colours, a key of `crnn.synth.picture.paint.PALETTES`.
        backgrounds: texture → how often; keys of `crnn.synth.picture.texture.TEXTURES`.
        texture: strength of the texture, in grey levels.
        gradient: change of the light across the picture, in grey levels.
        outline: width in pixels of a contour in another colour.
        shadow: offset in pixels of a shadow.
        emboss: characters pressed out of the ground, lit from one side; the value is how
            much lighter and darker their slopes are, in grey levels.
        fade: how much of the ink is lost in patches.
        bleed: how far ink runs, in pixels.
        blur: Gaussian, sigma in pixels.
        motion: length in pixels of a motion blur.
        lowres: factor by which the picture is made small and large again.
        noise: standard deviation of sensor noise, in grey levels.
        salt: share of pixels that are black or white.
        jpeg: quality lost, 0..95 (quality is 100 less this).
        binarise: probability-like chance of a bilevel scan; the value is its noise.
        grey: probability that the picture has no colour.
    """

    em: int = 36
    height: tuple[int, int] = (32, 48)
    width: int | None = None
    crop: Range = (0.0, 0.25)
    sides: Range = (0.0, 0.4)
    tight: Chance = NEVER
    stretch: Range = (0.9, 1.1)
    spacing: Chance = (0.3, -0.02, 0.15)
    word_space: Chance = (0.3, -0.05, 0.5)
    gap: Chance = NEVER
    spread: Chance = NEVER
    wander: Chance = NEVER
    pressure: Chance = NEVER
    ghost: Chance = NEVER
    latin_face: float = 0.4
    aliased: float = 0.0
    weight: Chance = NEVER
    dots: Chance = NEVER
    cells: Chance = NEVER
    stand_ins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    silent_dot: int = 0
    underline: Chance = NEVER
    rules: Chance = NEVER
    panel: Chance = NEVER
    border: Chance = NEVER
    neighbours: Chance = NEVER
    rotate: Chance = NEVER
    shear: Chance = NEVER
    perspective: Chance = NEVER
    curve: Chance = NEVER
    elastic: Chance = NEVER
    palette: str = "print"
    backgrounds: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"plain": 1.0})
    texture: Range = (2.0, 12.0)
    gradient: Chance = NEVER
    outline: Chance = NEVER
    shadow: Chance = NEVER
    emboss: Chance = NEVER
    fade: Chance = NEVER
    bleed: Chance = NEVER
    blur: Chance = NEVER
    motion: Chance = NEVER
    lowres: Chance = NEVER
    noise: Chance = NEVER
    salt: Chance = NEVER
    jpeg: Chance = NEVER
    binarise: Chance = NEVER
    grey: float = 0.0
