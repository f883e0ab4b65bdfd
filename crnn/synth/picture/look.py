"""`Look`: what happens to a line between its glyphs and its pixels, as numbers in five groups."""

import dataclasses
import random
from collections.abc import Mapping
from types import UnionType
from typing import Any, get_origin

from crnn_runtime.errors import CrnnError

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Chance:
    """Something that happens to some lines, each time to another degree.

    Attributes:
        chance: how probable it is, 0 to 1.
        low: the least value when it happens.
        high: the greatest.
    """

    chance: float = 0.0
    low: float = 0.0
    high: float = 0.0

    def draw(self, rng: random.Random) -> float:
        """A value of the range with the chance's probability, else 0."""
        if self.chance <= 0 or rng.random() >= self.chance:
            return 0.0
        return self.low + (self.high - self.low) * rng.random()


NEVER = Chance()


def pick(rng: random.Random, weights: Mapping[str, float]) -> str:
    """A key, by weight; quicker than `random.choices` for a handful."""
    place = rng.random() * sum(weights.values())
    for key, weight in weights.items():
        place -= weight
        if place < 0:
            return key
    return key


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The part of the page that the picture shows. Lengths are in em unless a pixel is named.

    Attributes:
        height: height in pixels of the picture.
        width: fixed width in pixels; None follows the text.
        crop: space above and below the ink; negative cuts into it.
        sides: space left and right of the ink.
        tight: a side, any of the four, cut where the ink ends, as detectors cut lines;
            the value is the space that is left, in place of `crop` or `sides`.
        neighbours: how much of the lines above and below is seen, right at the ink or a
            little into it.
        underline: a line below the text; the value is its thickness.
        rules: table lines around the text; the value is their thickness.
        panel: the line stands on a plate; the value is how much of its surroundings is
            seen at most.
        border: thickness of a line around the plate.
    """

    height: tuple[int, int] = (32, 48)
    width: int | None = None
    crop: Range = (0.0, 0.25)
    sides: Range = (0.0, 0.4)
    tight: Chance = NEVER
    neighbours: Chance = NEVER
    underline: Chance = NEVER
    rules: Chance = NEVER
    panel: Chance = NEVER
    border: Chance = NEVER


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """The setting of characters on the line. Lengths are in em.

    Attributes:
        em: pixels per em at which glyphs are drawn before the line is scaled.
        stretch: horizontal scale.
        spacing: space added after every glyph.
        word_space: width added to every space.
        gap: a space as wide as between the columns of a form; the value is its width.
        spread: characters of a short text without spaces set far apart, as in headings.
        wander: standard deviation of the glyphs' distance from the baseline.
        cells: every character is fitted to a cell of one size, as on plates; the value
            is the width of the cell over its height. Narrow ones stand in its middle.
        latin_face: probability that the Latin part of a Chinese line has a face of its own.
        stand_ins: character → one whose glyph is drawn in its place in half of the lines:
            alike where the fonts that are here differ from the print that is meant.
        silent_dot: characters before a middle dot that is drawn but is no part of the
            text, as on Chinese plates; 0 for none.
    """

    em: int = 36
    stretch: Range = (0.9, 1.1)
    spacing: Chance = Chance(0.3, low=-0.02, high=0.15)
    word_space: Chance = Chance(0.3, low=-0.05, high=0.5)
    gap: Chance = NEVER
    spread: Chance = NEVER
    wander: Chance = NEVER
    cells: Chance = NEVER
    latin_face: float = 0.4
    stand_ins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    silent_dot: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ink:
    """The material of the strokes and its flaws.

    Attributes:
        aliased: probability that glyphs are drawn without grey, as on old screens.
        weight: strokes made bolder (positive) or thinner, in pixels at `Setting.em`.
        dots: dot-matrix print; the value is the dot's pitch in em.
        pressure: ink that differs from character to character and within one, as a
            typewriter's; the value is how much of it is lost at most.
        ghost: the unlit segments behind digits, as on displays; the value is their strength.
        outline: width in pixels of a contour in another colour.
        shadow: offset in pixels of a shadow.
        emboss: characters pressed out of the ground, lit from one side; the value is how
            much lighter and darker their slopes are, in grey levels.
        fade: how much of the ink is lost in patches.
        bleed: how far ink runs, in pixels.
    """

    aliased: float = 0.0
    weight: Chance = NEVER
    dots: Chance = NEVER
    pressure: Chance = NEVER
    ghost: Chance = NEVER
    outline: Chance = NEVER
    shadow: Chance = NEVER
    emboss: Chance = NEVER
    fade: Chance = NEVER
    bleed: Chance = NEVER


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """Colours, and what the ink lies on.

    Attributes:
        palette: name of the colours, a key of `crnn.synth.picture.paint.PALETTES`.
        grey: probability that the picture has no colour.
        backgrounds: texture → how often; keys of `crnn.synth.picture.texture.TEXTURES`.
        texture: strength of the texture, in grey levels.
        gradient: change of the light across the picture, in grey levels.
    """

    palette: str = "print"
    grey: float = 0.0
    backgrounds: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"plain": 1.0})
    texture: Range = (2.0, 12.0)
    gradient: Chance = NEVER


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Camera:
    """Changes that a picture suffers on its way to a file: the angle, the lens, the sensor, the
    format.

    Attributes:
        rotate: degrees.
        shear: horizontal shift per height.
        perspective: shrinkage of one side against the other.
        curve: height in em of the arc that the baseline follows.
        elastic: amplitude in pixels of a smooth random displacement.
        blur: Gaussian, sigma in pixels.
        motion: length in pixels of a motion blur.
        lowres: factor by which the picture is made small and large again.
        noise: standard deviation of sensor noise, in grey levels.
        salt: share of pixels that are black or white.
        jpeg: quality lost, 0..95 (quality is 100 less this).
        binarise: a bilevel scan; the value is its noise.
    """

    rotate: Chance = NEVER
    shear: Chance = NEVER
    perspective: Chance = NEVER
    curve: Chance = NEVER
    elastic: Chance = NEVER
    blur: Chance = NEVER
    motion: Chance = NEVER
    lowres: Chance = NEVER
    noise: Chance = NEVER
    salt: Chance = NEVER
    jpeg: Chance = NEVER
    binarise: Chance = NEVER


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The look of lines. As it stands: black on white, a little spaced, nothing else."""

    frame: Frame = Frame()
    setting: Setting = Setting()
    ink: Ink = Ink()
    surface: Surface = Surface()
    camera: Camera = Camera()

    def but(self, **changes: Any) -> "Look":  # noqa: ANN401
        """This look with fields of its groups replaced; no two groups share a field's name.

        Args:
            changes: field → value. A `Chance` may be given as a mapping with its fields
                or as three numbers, a range as two: what a recipe's TOML can write.

        Raises:
            CrnnError: no group has such a field, or it takes another kind of value.
        """
        groups: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            if name not in _FIELDS:
                known = ", ".join(sorted(_FIELDS))
                raise CrnnError(f"a look has no {name!r}: choose from {known}")
            group, kind = _FIELDS[name]
            groups.setdefault(group, {})[name] = _as(kind, name, value)
        replaced = {
            group: dataclasses.replace(getattr(self, group), **values)
            for group, values in groups.items()
        }
        return dataclasses.replace(self, **replaced)


_FIELDS: dict[str, tuple[str, Any]] = {
    field.name: (group.name, field.type)
    for group in dataclasses.fields(Look)
    for field in dataclasses.fields(group.type)  # type: ignore[arg-type]
}
"""Field → its group and its type."""


_KINDS: dict[Any, tuple[type | UnionType, str]] = {
    Chance: (Chance, "{chance = 0.5, low = 1, high = 2}"),
    tuple: (tuple, "[least, greatest]"),
    Mapping: (Mapping, "a table"),
    float: (int | float, "a number"),
}


def _as(kind: Any, name: str, value: Any) -> Any:  # noqa: ANN401
    """A value as a recipe's TOML writes it, as what the field takes."""
    if kind is Chance and isinstance(value, Mapping) and value.keys() == {"chance", "low", "high"}:
        value = [value["chance"], value["low"], value["high"]]
    if isinstance(value, list | tuple) and all(isinstance(part, int | float) for part in value):
        if kind is Chance and len(value) == 3:
            value = Chance(*value)
        elif get_origin(kind) is tuple and len(value) == 2:
            value = tuple(value)
    types, wanted = _KINDS.get(get_origin(kind) or kind, (kind, f"of {kind}"))
    if not isinstance(value, types):
        raise CrnnError(f"{name} is {value!r}: it must be {wanted}")
    return value
