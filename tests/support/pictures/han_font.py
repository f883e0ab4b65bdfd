"""A font with a glyph for every character of an alphabet, for machines without Chinese fonts."""

from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._g_l_y_f import Glyph


def _bars(code: int) -> Glyph:
    """A frame of bars that spells the code point, so that different characters differ."""
    pen = TTGlyphPen(None)
    bars = [(60, -80, 120, 820), (880, -80, 940, 820)]
    bars += [(160, 90 * bit - 60, 840, 90 * bit - 5) for bit in range(10) if code >> bit & 1]
    for x0, y0, x1, y1 in bars:
        pen.moveTo((x0, y0))
        for point in ((x0, y1), (x1, y1), (x1, y0)):
            pen.lineTo(point)
        pen.closePath()
    return pen.glyph()


def write_han_font(path: Path, characters: str, *, family: str = "Bars Song") -> Path:
    """Write a TrueType font that has ``characters``; the space is blank."""
    codes = sorted(set(map(ord, characters)) - {0x20})
    names = {code: f"u{code:05X}" for code in codes}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "space", *names.values()])
    builder.setupCharacterMap({0x20: "space", **names})
    empty = TTGlyphPen(None).glyph()
    glyphs = {".notdef": _bars(0), "space": empty}
    builder.setupGlyf(glyphs | {name: _bars(code) for code, name in names.items()})
    builder.setupHorizontalMetrics(dict.fromkeys(builder.font.getGlyphOrder(), (1000, 0)))
    builder.setupHorizontalHeader(ascent=880, descent=-120)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path
