"""The presets: what each kind of line looks like, declared in one place."""

import dataclasses

from crnn.synth import text
from crnn.synth.text import TextSource

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """What a kind of line is made of. Lengths are in em unless said otherwise."""

    source: TextSource
    height: tuple[int, int] = (32, 48)
    margin: Range = (0.0, 0.25)
    stretch: Range = (0.85, 1.2)
    spacing: Range = (-0.03, 0.12)
    degrees: float = 1.5
    blur: Range = (0.0, 1.0)
    noise: Range = (0.0, 12.0)


PRESETS: dict[str, Preset] = {
    "digits": Preset(source=text.digit_string),
    "latin": Preset(source=text.ascii_words),
}
