"""The presets: what each kind of line reads and looks like, declared in one place.

To add one, add an entry to `PRESETS`: command line, contact sheets, tests and
benchmarks go through that table.
"""

import dataclasses
from collections.abc import Mapping

from crnn.synth.look import NEVER, Look


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A kind of line.

    Attributes:
        summary: one line for `crnn-synth --help` and the sheets.
        alphabet: name of a shipped alphabet; text outside it is not drawn.
        text: generator → how often; keys of `crnn.synth.text.SOURCES`.
        fonts: kind of face → weight of each of its families, 1 if not given; see
            `crnn.synth.fonts.FontSet`.
        looks: what happens to the glyphs; look → how often.
    """

    summary: str
    alphabet: str
    text: Mapping[str, float]
    fonts: Mapping[str, float] = dataclasses.field(default_factory=dict)
    looks: tuple[tuple[float, Look], ...] = ((1.0, Look()),)


_CHINESE_STRINGS = Look(
    em=28,
    height=(32, 32),
    width=280,
    crop=(0.0, 0.22),
    sides=(0.0, 0.2),
    tight=(0.3, -0.03, 0.04),
    stretch=(0.9, 1.2),
    spacing=(0.35, 0.0, 0.14),
    latin_face=0.3,
    weight=(0.3, -0.4, 0.9),
    rotate=(0.5, -1.2, 1.2),
    perspective=(0.4, 0.02, 0.14),
    shear=(0.2, -0.15, 0.15),
    curve=(0.1, 0.05, 0.15),
    palette="grey",
    backgrounds={"plain": 1, "stone": 3, "paper": 2, "brushed": 0.5},
    texture=(2, 14),
    gradient=(0.3, 5, 30),
    blur=(0.75, 0.4, 1.3),
    noise=(0.4, 1, 6),
    jpeg=(0.65, 5, 45),
    grey=1.0,
)

_SCAN = Look(
    em=40,
    height=(32, 56),
    crop=(-0.02, 0.22),
    sides=(0.0, 0.35),
    tight=(0.3, -0.03, 0.04),
    stretch=(0.92, 1.08),
    spacing=(0.25, -0.02, 0.12),
    word_space=(0.45, -0.11, 0.6),
    latin_face=0.7,
    weight=(0.5, -0.4, 0.8),
    underline=(0.03, 0.03, 0.06),
    rules=(0.04, 0.03, 0.08),
    neighbours=(0.15, 0.05, 0.25),
    rotate=(0.4, -0.8, 0.8),
    curve=(0.1, 0.03, 0.15),
    backgrounds={"plain": 3, "paper": 4, "stone": 1},
    texture=(2, 16),
    gradient=(0.25, 5, 40),
    fade=(0.15, 0.15, 0.6),
    bleed=(0.25, 0.5, 1.1),
    blur=(0.6, 0.3, 1.1),
    lowres=(0.2, 1.1, 1.9),
    noise=(0.4, 1, 9),
    salt=(0.05, 0.0005, 0.004),
    jpeg=(0.6, 5, 60),
    grey=0.7,
)
_BILEVEL = dataclasses.replace(
    _SCAN,
    height=(40, 72),
    weight=(0.6, -0.4, 0.9),
    bleed=(0.35, 0.5, 0.9),
    blur=(0.5, 0.3, 0.8),
    lowres=NEVER,
    binarise=(1.0, 2, 20),
    jpeg=(0.1, 5, 30),
    grey=1.0,
)
_CLEAN = Look(
    em=40,
    height=(32, 56),
    crop=(0.0, 0.3),
    tight=(0.3, -0.03, 0.04),
    latin_face=0.7,
    weight=(0.2, -0.3, 0.4),
    jpeg=(0.5, 5, 30),
    lowres=(0.15, 1.1, 1.6),
)

_RECEIPT = Look(
    em=32,
    height=(32, 44),
    crop=(-0.05, 0.2),
    sides=(0.0, 0.3),
    tight=(0.3, -0.03, 0.04),
    stretch=(0.6, 1.25),
    spacing=(0.4, -0.05, 0.25),
    word_space=(0.3, 0.0, 0.8),
    latin_face=0.3,
    weight=(0.5, -0.5, 1.0),
    underline=(0.02, 0.03, 0.06),
    rules=(0.03, 0.03, 0.06),
    neighbours=(0.2, 0.05, 0.3),
    rotate=(0.5, -1.5, 1.5),
    curve=(0.15, 0.05, 0.25),
    elastic=(0.1, 0.3, 0.9),
    palette="thermal",
    backgrounds={"plain": 2, "paper": 3, "stone": 2, "brushed": 1},
    texture=(2, 18),
    gradient=(0.4, 10, 60),
    fade=(0.4, 0.15, 0.6),
    bleed=(0.3, 0.5, 1.2),
    blur=(0.6, 0.4, 1.5),
    lowres=(0.5, 1.2, 2.2),
    noise=(0.4, 1, 10),
    salt=(0.03, 0.0005, 0.003),
    jpeg=(0.8, 10, 72),
    grey=0.5,
)
_NEEDLES = dataclasses.replace(
    _RECEIPT,
    em=48,
    stretch=(0.7, 1.1),
    weight=NEVER,
    dots=(1.0, 0.062, 0.084),
    fade=(0.3, 0.1, 0.4),
    bleed=NEVER,
    lowres=(0.3, 1.1, 1.5),
    blur=(0.5, 0.4, 1.0),
)

_SCENE = Look(
    em=40,
    height=(32, 64),
    crop=(-0.04, 0.3),
    sides=(0.0, 0.5),
    tight=(0.3, -0.03, 0.04),
    stretch=(0.7, 1.3),
    spacing=(0.5, -0.03, 0.4),
    latin_face=0.4,
    weight=(0.3, -0.4, 1.0),
    wander=(0.04, 0.01, 0.04),
    underline=(0.03, 0.04, 0.1),
    rules=(0.05, 0.03, 0.12),
    neighbours=(0.1, 0.05, 0.3),
    rotate=(0.5, -5, 5),
    shear=(0.3, -0.3, 0.3),
    perspective=(0.5, 0.03, 0.3),
    curve=(0.15, 0.05, 0.4),
    elastic=(0.1, 0.3, 1.0),
    palette="sign",
    backgrounds={"plain": 4, "clutter": 4, "stone": 2, "brushed": 1, "fabric": 1, "paper": 1},
    texture=(4, 60),
    gradient=(0.5, 10, 90),
    outline=(0.12, 1, 2),
    shadow=(0.15, 1, 2.5),
    fade=(0.08, 0.2, 0.6),
    bleed=(0.05, 0.5, 1.0),
    blur=(0.6, 0.4, 1.5),
    motion=(0.1, 2, 4),
    lowres=(0.4, 1.2, 2.3),
    noise=(0.5, 2, 16),
    jpeg=(0.8, 10, 75),
    grey=0.08,
)

_SCREEN = Look(
    em=18,
    height=(20, 34),
    crop=(0.05, 0.35),
    sides=(0.05, 0.5),
    tight=(0.3, -0.03, 0.04),
    stretch=(1.0, 1.0),
    spacing=(0.15, 0.0, 0.08),
    latin_face=0.4,
    aliased=0.25,
    palette="screen",
    gradient=(0.05, 5, 30),
    rules=(0.08, 0.03, 0.06),
    underline=(0.04, 0.04, 0.07),
    neighbours=(0.05, 0.05, 0.2),
    blur=(0.1, 0.3, 0.6),
    lowres=(0.2, 1.1, 1.6),
    jpeg=(0.5, 5, 65),
)
_DISPLAYED = dataclasses.replace(_SCREEN, em=36, aliased=0.0, height=(32, 48))

# Sizes are those of the standard for plates, GA 36: cells of 45 x 90 mm, 12 mm apart, on
# 440 x 140 mm. Its letters are nobody's font: 0 and 1 look like O and I, which it lacks.
_PLATE = Look(
    em=40,
    height=(22, 36),
    crop=(0.05, 0.26),
    sides=(0.02, 0.22),
    stretch=(0.95, 1.35),
    spacing=(1.0, 0.06, 0.14),
    cells=(0.85, 0.42, 0.58),
    stand_ins={"0": "O", "1": "I"},
    latin_face=0.9,
    weight=(0.8, -0.2, 1.2),
    silent_dot=2,
    panel=(0.9, 0.02, 0.3),
    border=(0.75, 0.025, 0.06),
    rotate=(0.8, -5, 5),
    shear=(0.6, -0.3, 0.3),
    perspective=(0.5, 0.03, 0.15),
    palette="plate",
    backgrounds={"plain": 3, "stone": 2, "brushed": 1, "clutter": 1},
    texture=(2, 14),
    gradient=(0.5, 10, 70),
    shadow=(0.1, 1, 1.5),
    fade=(0.1, 0.15, 0.4),
    blur=(0.6, 0.3, 0.8),
    motion=(0.07, 1.5, 3),
    lowres=(0.3, 1.1, 1.4),
    noise=(0.5, 1, 6),
    jpeg=(0.7, 10, 55),
)

_DIGITS = Look(
    em=36,
    height=(32, 48),
    crop=(-0.02, 0.3),
    sides=(0.0, 0.5),
    stretch=(0.75, 1.25),
    spacing=(0.5, -0.04, 0.3),
    weight=(0.3, -0.4, 0.9),
    rules=(0.08, 0.03, 0.08),
    rotate=(0.5, -3, 3),
    shear=(0.3, -0.2, 0.2),
    perspective=(0.2, 0.02, 0.15),
    palette="mixed",
    backgrounds={"plain": 4, "paper": 2, "stone": 2, "clutter": 1, "brushed": 1},
    texture=(2, 25),
    gradient=(0.3, 10, 60),
    shadow=(0.05, 1, 2),
    fade=(0.08, 0.2, 0.6),
    bleed=(0.1, 0.5, 1.0),
    blur=(0.6, 0.3, 1.3),
    lowres=(0.2, 1.2, 2.2),
    noise=(0.5, 1, 12),
    jpeg=(0.4, 5, 60),
    grey=0.4,
)
_DOTTED_DIGITS = dataclasses.replace(
    _DIGITS, em=48, weight=NEVER, dots=(1.0, 0.062, 0.1), fade=NEVER, bleed=NEVER
)

PRESETS: dict[str, Preset] = {
    "chinese-strings": Preset(
        summary="ten characters of running text, 280 x 32, grey: the original's lines",
        alphabet="zh",
        text={"zh-window": 1},
        fonts={"kai": 2.5, "fangsong": 3, "pixel": 0.2, "mono": 0.3},
        looks=((1, _CHINESE_STRINGS),),
    ),
    "document": Preset(
        summary="printed Chinese and English: books, forms, scans, bilevel pages",
        alphabet="zh",
        text={
            "zh-running": 6, "en-running": 4, "zh-field": 1.5, "zh-numbered": 1, "zh-phrase": 1.5,
            "zh-mixed": 1, "en-phrase": 1, "en-title": 0.5, "number": 0.5, "date": 0.3,
            "address": 0.2,
        },
        fonts={"serif": 2, "hand": 0.05, "display": 0.1, "pixel": 0.05, "mono": 0.3, "segment": 0},
        looks=((5, _SCAN), (2, _BILEVEL), (3, _CLEAN)),
    ),
    "receipt": Preset(
        summary="till receipts: mono, dot-matrix and thermal print, faded and creased",
        alphabet="zh",
        text={
            "receipt-item": 4, "en-field": 4, "amount": 3, "number": 1.5, "date": 1, "clock": 0.4,
            "phone": 0.7, "code": 0.7, "zh-field": 1.5, "zh-word": 0.8, "en-title": 0.8,
            "address": 0.2,
        },
        fonts={"mono": 3, "hand": 0, "kai": 0.1, "display": 0.3, "segment": 0, "pixel": 1.5},
        looks=((9, _RECEIPT), (1, _NEEDLES)),
    ),
    "scene": Preset(
        summary="signs, packaging and adverts in photographs",
        alphabet="zh",
        text={
            "zh-word": 5, "zh-phrase": 5, "zh-mixed": 2, "en-title": 4, "en-phrase": 1,
            "number": 1, "phone": 1, "zh-field": 0.7, "address": 0.4, "amount": 0.5, "code": 0.3,
        },
        fonts={"display": 3, "hand": 0.7, "segment": 0, "pixel": 0.4},
        looks=((1, _SCENE),),
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
        looks=(
            *((1.0, dataclasses.replace(_SCREEN, em=em, height=(em + 6, em + 16)))
              for em in (12, 13, 14, 16, 18, 21, 24)),
            (3.0, _DISPLAYED),
        ),
    ),
    "plate": Preset(
        summary="Chinese licence plates, small, slanting and badly lit",
        alphabet="zh",
        text={"plate": 1},
        fonts={"serif": 0.05, "kai": 0.05, "fangsong": 0.05, "pixel": 0, "segment": 0, "hand": 0},
        looks=((1, _PLATE),),
    ),
    "digits": Preset(
        summary="1 to 14 digits in every style, seven-segment displays too",
        alphabet="digits",
        text={"digits": 1},
        fonts={"hand": 0.5, "segment": 3},
        looks=((19, _DIGITS), (1, _DOTTED_DIGITS)),
    ),
    "latin": Preset(
        summary="printable ASCII: books, receipts, screens, signs, numbers and codes",
        alphabet="latin",
        text={
            "ascii-words": 2, "en-running": 2.5, "en-phrase": 3, "en-title": 3, "en-field": 1.5,
            "number": 1.5, "amount": 1, "date": 0.7, "clock": 0.3, "phone": 0.4, "code": 1,
            "address": 0.6, "receipt-item": 1.5,
        },
        fonts={"hand": 0.3, "segment": 0, "serif": 1.5, "mono": 2},
        looks=(
            (2, _DIGITS), (1.5, _CLEAN), (2, _SCAN), (1, _BILEVEL), (2.5, _RECEIPT),
            (0.2, _NEEDLES), (0.5, _SCREEN), (0.7, _SCENE),
        ),
    ),
}  # fmt: skip
