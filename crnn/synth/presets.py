"""The presets: what each kind of line reads and looks like, declared in one place.

To add one, add an entry to `PRESETS`: command line, contact sheets, tests and
benchmarks go through that table.
"""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A kind of line.

    Attributes:
        summary: one line for `crnn-synth --help` and the sheets.
        alphabet: name of a shipped alphabet; text outside it is not drawn.
        text: generator → how often; keys of `crnn.synth.text.generators.SOURCES`.
        fonts: kind of face → weight of each of its families, 1 if not given; see
            `crnn.synth.fonts.faces.FontSet`.
        looks: what happens to the glyphs; look → how often, keys of
            `crnn.synth.picture.looks.LOOKS`.
    """

    summary: str
    alphabet: str
    text: Mapping[str, float]
    fonts: Mapping[str, float] = dataclasses.field(default_factory=dict)
    looks: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"plain": 1.0})


PRESETS: dict[str, Preset] = {
    "chinese-strings": Preset(
        summary="ten characters of running text, 280 x 32, grey: the original's lines",
        alphabet="zh",
        text={"zh-window": 1},
        fonts={"kai": 2.5, "fangsong": 3, "pixel": 0.2, "mono": 0.3, "typewriter": 0.5},
        looks={"chinese-strings": 1},
    ),
    "document": Preset(
        summary="printed Chinese and English: books, forms, scans, bilevel pages",
        alphabet="zh",
        text={
            "zh-running": 6, "en-running": 4, "zh-field": 1.5, "zh-numbered": 1, "zh-phrase": 1.5,
            "zh-mixed": 1, "en-phrase": 1, "en-title": 0.5, "number": 0.5, "date": 0.3,
            "address": 0.2,
        },
        fonts={
            "serif": 2, "hand": 0.05, "display": 0.1, "pixel": 0.05, "mono": 0.3,
            "typewriter": 0.5, "segment": 0,
        },
        looks={"scan": 5, "bilevel": 2, "clean": 3},
    ),
    "receipt": Preset(
        summary="till receipts: mono, dot-matrix and thermal print, faded and creased",
        alphabet="zh",
        text={
            "receipt-item": 4, "en-field": 4, "amount": 3, "number": 1.5, "date": 1, "clock": 0.4,
            "phone": 0.7, "code": 0.7, "zh-field": 1.5, "zh-word": 0.8, "en-title": 0.8,
            "address": 0.2,
        },
        fonts={
            "mono": 3, "typewriter": 1, "hand": 0, "kai": 0.1, "display": 0.3, "segment": 0,
            "pixel": 1.5,
        },
        looks={"receipt": 9, "needles": 1},
    ),
    "scene": Preset(
        summary="signs, packaging and adverts in photographs",
        alphabet="zh",
        text={
            "zh-word": 5, "zh-phrase": 5, "zh-mixed": 2, "en-title": 4, "en-phrase": 1,
            "number": 1, "phone": 1, "zh-field": 0.7, "address": 0.4, "amount": 0.5, "code": 0.3,
        },
        fonts={"display": 3, "hand": 0.7, "segment": 0, "pixel": 0.4},
        looks={"scene": 5, "packaging": 5},
    ),
    "screen": Preset(
        summary="screenshots: interfaces, web pages, small crisp type",
        alphabet="zh",
        text={
            "zh-phrase": 5, "zh-word": 3, "zh-running": 2, "zh-mixed": 3, "zh-field": 1.5,
            "en-phrase": 3, "en-title": 2, "number": 1.5, "date": 1, "clock": 0.5, "amount": 1,
            "address": 1, "phone": 0.5, "code": 0.5, "zh-numbered": 1,
        },
        fonts={"hand": 0.05, "kai": 0.2, "fangsong": 0.2, "serif": 0.5, "segment": 0},
        looks={
            **dict.fromkeys((f"screen-{em}" for em in (12, 13, 14, 16, 18, 21, 24)), 1),
            "displayed": 3,
        },
    ),
    "plate": Preset(
        summary="Chinese licence plates, small, slanting and badly lit",
        alphabet="zh",
        text={"plate": 1},
        fonts={"serif": 0.05, "kai": 0.05, "fangsong": 0.05, "pixel": 0, "segment": 0, "hand": 0},
        looks={"plate": 1},
    ),
    "digits": Preset(
        summary="1 to 14 digits in every style, seven-segment displays too",
        alphabet="digits",
        text={"digits": 1},
        fonts={"hand": 0.5, "segment": 3},
        looks={"digits": 19, "dotted-digits": 1},
    ),
    "typewriter": Preset(
        summary="pages of typewriters and dot-matrix printers, with the lines above and below",
        alphabet="latin",
        text={
            "en-running": 6, "en-phrase": 1.5, "en-title": 1, "en-field": 1, "number": 0.7,
            "date": 0.7, "amount": 0.3, "code": 0.3, "phone": 0.2, "receipt-item": 0.5,
        },
        fonts={
            "typewriter": 4, "mono": 1, "serif": 0, "sans": 0, "hand": 0, "display": 0, "kai": 0,
            "fangsong": 0, "pixel": 1, "segment": 0,
        },
        looks={"typewritten": 5, "typed-bilevel": 2, "typed-needles": 2},
    ),
    "card": Preset(
        summary="numbers, months and names on bank cards, pressed or printed",
        alphabet="latin",
        text={"card": 1},
        fonts={"hand": 0, "kai": 0, "segment": 0, "mono": 2, "serif": 0.3},
        looks={"card": 1},
    ),
    "meter": Preset(
        summary="seven-segment displays, counters and clocks",
        alphabet="latin",
        text={"meter": 1},
        fonts={"segment": 25, "hand": 0, "kai": 0, "serif": 0.3, "fangsong": 0, "pixel": 3},
        looks={"display": 4, "digits": 1, "packaging": 1},
    ),
    "short": Preset(
        summary="one to three characters: cells of tables, buttons, single digits",
        alphabet="zh",
        text={"short": 1},
        fonts={"hand": 0.2, "segment": 0, "display": 0.7, "pixel": 0.3},
        looks={"scan": 2, "bilevel": 1, "clean": 2, "receipt": 1.5, "packaging": 2, "displayed": 2},
    ),
    "latin": Preset(
        summary="printable ASCII: books, receipts, screens, signs, numbers and codes",
        alphabet="latin",
        text={
            "ascii-words": 2, "en-running": 2.5, "en-phrase": 3, "en-title": 3, "en-field": 1.5,
            "number": 1.5, "amount": 1, "date": 0.7, "clock": 0.3, "phone": 0.4, "code": 1,
            "address": 0.6, "receipt-item": 1.5,
        },
        fonts={"hand": 0.3, "segment": 0, "serif": 1.5, "mono": 2, "typewriter": 1},
        looks={
            "digits": 2, "clean": 1.5, "scan": 2, "bilevel": 1, "receipt": 2.5, "needles": 0.2,
            "screen": 0.5, "scene": 0.7, "packaging": 0.5, "typewritten": 0.5, "typed-bilevel": 0.2,
        },
    ),
}  # fmt: skip
