"""Text that is read from right to left."""

from pathlib import Path

import numpy as np
import pytest

from crnn.synth import Synthesizer
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet


@pytest.fixture
def hebrew(tmp_path: Path) -> Path:
    """A font of Hebrew letters that are bars, higher from letter to letter."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    builder = FontBuilder(1000, isTTF=True)
    letters = "אבגד"
    names = [".notdef", "space", *(f"bar{number}" for number in range(len(letters)))]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({32: "space"} | dict(zip(map(ord, letters), names[2:], strict=True)))
    glyphs = {}
    for number, name in enumerate(names):
        pen = TTGlyphPen(None)
        if number >= 2:
            top = 150 * number
            for step, place in enumerate([(50, 0), (50, top), (500, top), (500, 0)]):
                (pen.lineTo if step else pen.moveTo)(place)
            pen.closePath()
        glyphs[name] = pen.glyph()
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Bars", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "bars.ttf")
    return tmp_path / "bars.ttf"


def test_right_to_left_text_is_drawn_as_it_is_read(hebrew: Path, tmp_path: Path) -> None:
    pytest.importorskip("bidi")
    corpus = tmp_path / "texts.txt"
    corpus.write_text("אבגד\n" * 40, "utf-8")
    lines = Synthesizer(
        "document", fonts=hebrew, corpus=corpus, alphabet=Alphabet("אבגד"),
    )  # fmt: skip
    sample = next(each for each in map(lines.line, range(20)) if len(set(each.text)) == 4)
    assert sample.text in "דגבאדגבא"  # the visual order
    heights = sample.boxes[:, 3] - sample.boxes[:, 1]
    order = ["אבגד".index(letter) for letter in sample.text]
    assert np.argsort(heights).tolist() == np.argsort(order).tolist()


def test_letters_that_join_are_refused_in_a_line(hebrew: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "texts.txt"
    corpus.write_text("سلام\n" * 40, "utf-8")
    lines = Synthesizer("document", fonts=hebrew, corpus=corpus, alphabet=Alphabet("سلامאב"))
    assert lines.texts.not_drawn == list("سلام")
    assert lines.texts.without_font == []
    with pytest.raises(CrnnError, match="join") as caught:
        lines.line(0)
    assert "\n" not in str(caught.value)
