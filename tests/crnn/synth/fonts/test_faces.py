import random
from collections import Counter
from pathlib import Path

import pytest
from fontTools.ttLib import TTCollection, TTFont
from han_font import write_han_font
from refusals import refused

from crnn.synth.fonts.cmap import read_codes
from crnn.synth.fonts.faces import Face, FontSet, bitmap, kind_of, load_faces, read_faces
from crnn.synth.fonts.files import find_fonts, package_fonts
from crnn.synth.fonts.glyphs import GlyphCache
from crnn_runtime.errors import CrnnError


def face(family: str, text: str, style: str = "Regular") -> Face:
    import numpy as np

    codes = np.array(sorted(map(ord, text)))
    return Face(f"/{family}-{style}", 0, family, style, (), kind_of(family), bitmap(codes))


@pytest.mark.parametrize("path", package_fonts()[::5], ids=lambda path: path.name)
def test_character_maps_are_those_of_fonttools(path: Path) -> None:
    with TTFont(path) as font:
        codes, glyphs = read_codes(font)
        names = font.getReverseGlyphMap()
        expected = {code: names[name] for code, name in font.getBestCmap().items() if names[name]}
    assert dict(zip(codes.tolist(), glyphs.tolist(), strict=True)) == expected


def test_packages_bring_serif_sans_and_mono() -> None:
    kinds = {face.kind for face in load_faces(package_fonts())}
    assert {"serif", "sans", "mono"} <= kinds


def test_coverage_is_the_cmap() -> None:
    one = face("Bars", "aZ的\U00020000")
    assert one.covers("aZ的\U00020000")
    assert not one.covers("b")
    assert not one.covers("\U00030000")
    assert one.covers("")


def test_every_named_instance_of_a_variable_font_is_a_face() -> None:
    path = next(path for path in package_fonts() if "RobotoMono[" in path.name)
    faces = read_faces(path)
    assert len({one.style for one in faces}) >= 5
    thin, bold = (next(f for f in faces if f.style == style) for style in ("Thin", "Bold"))
    cache = GlyphCache(1 << 20)
    ink = [cache.open(one, 40).glyph("H").mask.sum() for one in (thin, bold)]  # type: ignore[union-attr]
    assert ink[1] > 2 * ink[0]


def test_a_collection_gives_each_face_but_not_other_regions(tmp_path: Path) -> None:
    collection = TTCollection()
    for number, family in enumerate(("Bars CJK SC", "Bars CJK JP", "Bars Mono CJK SC")):
        part = write_han_font(tmp_path / f"{number}.ttf", "的一", family=family)
        collection.fonts.append(TTFont(part))
    collection.save(tmp_path / "all.ttc")
    faces = read_faces(tmp_path / "all.ttc")
    assert [(one.family, one.index) for one in faces] == [
        ("Bars CJK SC", 0),
        ("Bars Mono CJK SC", 2),
    ]
    assert GlyphCache(1000).open(faces[1], 20).glyph("的").mask is not None


def test_a_font_is_drawn_by_family_and_only_for_what_it_has() -> None:
    many = [face("Many Sans", "ab", f"Weight {n}") for n in range(50)]
    fonts = FontSet([*many, face("Lone Sans", "ab"), face("Other Sans", "abc")])
    rng = random.Random(1)
    drawn = Counter(fonts.choose(rng, "ab").family for _ in range(600))  # type: ignore[union-attr]
    assert all(150 < drawn[name] < 250 for name in ("Many Sans", "Lone Sans", "Other Sans"))
    assert {fonts.choose(rng, "c").family for _ in range(50)} == {"Other Sans"}  # type: ignore[union-attr]
    assert fonts.choose(rng, "z") is None


def test_a_kind_can_be_left_out() -> None:
    fonts = FontSet([face("A Mono", "a"), face("B Serif", "a")], weights={"mono": 0})
    assert {one.family for one in fonts.faces} == {"B Serif"}


def test_relatives_stay_on_one_side_of_the_split() -> None:
    faces = [face(f"Design{n}{v}", "a") for n in range(40) for v in ("", " Mono", " Narrow")]
    train, held = (
        {one.family for one in FontSet(faces, split=split).faces} for split in ("train", "heldout")
    )
    assert not train & held
    assert len(train | held) == 120
    for families in (train, held):
        assert all(name.split()[0] + " Mono" in families for name in families)


def test_the_last_family_cannot_be_trained_on_and_held_out() -> None:
    with pytest.raises(CrnnError, match="'train'"):
        FontSet([face("Only Sans", "a")], split="train")


def test_find_fonts_takes_files_folders_and_lists(tmp_path: Path, han_font: Path) -> None:
    assert find_fonts(han_font) == [han_font]
    assert find_fonts(str(han_font.parent)) == [han_font]
    assert find_fonts([han_font, han_font.parent]) == [han_font]
    with refused(tmp_path):
        find_fonts(tmp_path)
