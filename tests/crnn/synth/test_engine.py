import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from han_font import write_han_font
from refusals import refused

from crnn.synth import PRESETS, Sample, Synthesizer
from crnn.synth.coverage import Coverage
from crnn.synth.picture.look import NEVER
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

CHINESE = [name for name, preset in PRESETS.items() if preset.alphabet == "zh"]


def same(one: Sample, other: Sample) -> bool:
    return (
        one.text == other.text
        and np.array_equal(one.image, other.image)
        and np.array_equal(one.boxes, other.boxes)
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_line_depends_on_its_index_only(preset: str, fonts: list[str]) -> None:
    synthesizer = Synthesizer(preset, seed=3, fonts=fonts)
    forward = [synthesizer.line(index) for index in range(12)]
    again = pickle.loads(pickle.dumps(synthesizer))
    backward = [again.line(index) for index in reversed(range(12))][::-1]
    assert all(map(same, forward, backward))


@pytest.mark.parametrize("preset", PRESETS)
def test_lines_are_pictures_of_text_of_the_alphabet(preset: str, fonts: list[str]) -> None:
    synthesizer = Synthesizer(preset, fonts=fonts)
    alphabet = Alphabet.load(PRESETS[preset].alphabet)
    for index in range(25):
        sample = synthesizer.line(index)
        height, width, channels = sample.image.shape
        assert sample.image.dtype == np.uint8
        assert channels == 3
        assert 18 <= height <= 80
        assert width >= 4
        assert sample.text == sample.text.strip() != ""
        assert not alphabet.unknown(sample.text)
        assert sample.boxes.shape == (len(sample.text), 4)
        assert (sample.boxes[:, 2] > sample.boxes[:, 0]).all()
        # Ink and paper differ somewhere.
        assert np.ptp(sample.image.astype(int).sum(2)) > 30


def test_another_seed_gives_other_lines(fonts: list[str]) -> None:
    texts = [
        [Synthesizer("latin", seed, fonts="packages").line(i).text for i in range(10)]
        for seed in (0, 1)
    ]
    assert sum(map(str.__eq__, *texts)) <= 2


def test_the_cache_may_be_small_without_changing_a_line(fonts: list[str]) -> None:
    large = Synthesizer("document", fonts=fonts)
    small = Synthesizer("document", fonts=fonts, cache_bytes=1)
    assert all(same(large.line(index), small.line(index)) for index in range(8))


def test_original_strings_are_280_by_32_and_grey(fonts: list[str]) -> None:
    synthesizer = Synthesizer("chinese-strings", fonts=fonts)
    for index in range(20):
        sample = synthesizer.line(index)
        assert sample.image.shape == (32, 280, 3)
        assert len(sample.text) <= 10
        assert (sample.image == sample.image[:, :, :1]).all()


@pytest.mark.parametrize("preset", ["digits", "document", "plate"])
def test_boxes_hold_the_ink(preset: str, fonts: list[str]) -> None:
    # Nothing but the text is drawn: warped but not degraded.
    warp: dict[str, Any] = {
        "rotate": (0.5, -3, 3), "shear": (0.5, -0.3, 0.3), "perspective": (0.5, 0.03, 0.2),
        "curve": (0.3, 0.05, 0.3), "elastic": (0.3, 0.3, 1), "wander": (0.3, 0.01, 0.04),
        "cells": (0.3, 0.4, 0.6), "tight": (0.3, -0.03, 0.04), "weight": (0.3, -0.4, 1),
    }  # fmt: skip
    synthesizer = Synthesizer(preset, fonts=fonts, look="plain", grey=1.0, **warp)
    for index in range(30):
        sample = synthesizer.line(index)
        grey = sample.image[:, :, 0].astype(int)
        # The paper is the level of the corner that no glyph reaches.
        ink = np.abs(grey - np.bincount(grey.ravel()).argmax()) > 100
        allowed = np.zeros_like(ink)
        for x0, y0, x1, y1 in sample.boxes:
            rows = slice(max(0, int(y0) - 2), max(0, int(y1) + 3))
            allowed[rows, max(0, int(x0) - 2) : max(0, int(x1) + 3)] = True
        outside = (ink & ~allowed).sum()
        assert outside <= 0.02 * max(1, ink.sum()) or ink.mean() > 0.5, (index, sample.text)


def test_rare_characters_appear_as_often_as_promised(fonts: list[str]) -> None:
    alphabet = Alphabet(" 0123456789的一是不了人我在有他这为之大来以个中上们囧镕璘㎏∞")
    lines, rare = 120, 0.9
    synthesizer = Synthesizer("chinese-strings", fonts=fonts, alphabet=alphabet, rare=rare)
    texts = [synthesizer.line(index).text for index in range(lines)]
    least = int(lines * rare / len(alphabet))
    assert least >= 2
    for character in alphabet:
        assert sum(character in text for text in texts) >= least, character


def test_entries_of_several_code_points_are_lifted_and_counted(fonts: list[str]) -> None:
    alphabet = Alphabet(["ch", *"abcdehinorst ", "e\u0301", "🇨🇳"])
    synthesizer = Synthesizer("latin", fonts=fonts, alphabet=alphabet, rare=1.0)
    assert set(synthesizer.texts.not_drawn) == {"e\u0301", "🇨🇳"}  # piece by piece
    coverage = Coverage(alphabet, map(synthesizer.text, range(40)))
    assert coverage.counts["ch"] >= 2
    assert set(coverage.counts) <= set(alphabet)


def test_the_split_shares_no_family_and_no_long_word(fonts: list[str]) -> None:
    train, held = (Synthesizer("latin", fonts="packages", split=s) for s in ("train", "heldout"))
    families = [{face.family for face in one.fonts.faces} for one in (train, held)]
    assert families[0]
    assert families[1]
    assert not families[0] & families[1]
    words = [{word for word in one.texts.lexicon.words("en").words if len(word) > 3}
             for one in (train, held)]  # fmt: skip
    assert not words[0] & words[1]
    assert len(words[0]) > 4 * len(words[1]) > 0
    texts = [{one.line(index).text for index in range(40)} for one in (train, held)]
    assert not {text for text in texts[0] & texts[1] if len(text) > 3}


def test_a_corpus_is_where_the_prose_comes_from(tmp_path: Path, fonts: list[str]) -> None:
    (tmp_path / "news.txt").write_text("停下来，看着那些握着枪的人们走过去。\n" * 3, "utf-8")
    synthesizer = Synthesizer("chinese-strings", fonts=fonts, corpus=tmp_path)
    for index in range(10):
        assert synthesizer.line(index).text in "停下来，看着那些握着枪的人们走过去。"


def test_a_word_list_replaces_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("kumquat 5\npomelo 3\n", "utf-8")
    synthesizer = Synthesizer("latin", fonts="packages", words=tmp_path / "words.txt")
    assert {synthesizer.texts.lexicon.words("en").draw(synthesizer._rng(i)) for i in range(30)} == {
        "kumquat",
        "pomelo",
    }


def test_pictures_of_a_folder_become_backgrounds(tmp_path: Path, fonts: list[str]) -> None:
    import cv2

    stripes = np.zeros((64, 256, 3), np.uint8)
    stripes[:, ::16] = 255
    cv2.imwrite(str(tmp_path / "stripes.png"), stripes)
    options = {"fonts": fonts, "grey": 0.0}
    with_photo = Synthesizer("scene", pictures=tmp_path, **options)
    assert any("photo" in look.surface.backgrounds for look, _ in with_photo.looks)
    assert not all(
        same(with_photo.line(i), Synthesizer("scene", **options).line(i)) for i in range(8)
    )
    (tmp_path / "torn.jpg").write_bytes(b"no picture")
    torn = Synthesizer("scene", pictures=tmp_path / "torn.jpg", **options)
    with pytest.raises(CrnnError, match=r"torn\.jpg"):
        [torn.line(index) for index in range(60)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "papyrus"}, "'papyrus': .*chinese-strings"),
        ({"preset": "digits", "wobble": 3}, "'wobble'"),
        ({"preset": "digits", "fonts": "/no/such/folder"}, "/no/such/folder"),
        ({"preset": "digits", "pictures": "/no/such/folder"}, "/no/such/folder"),
        ({"preset": "document", "fonts": "packages"}, "Chinese"),
        ({"preset": "digits", "rare": 9}, "9"),
        ({"preset": "digits", "look": "baroque"}, "baroque"),
        ({"preset": "digits", "blur": 3}, "blur"),
        ({"preset": "digits", "blur": [0.5, 1]}, "blur"),
        ({"preset": "digits", "blur": {"chance": 0.5, "least": 1}}, "blur"),
        ({"preset": "digits", "crop": [0.1, "wide"]}, "crop"),
        ({"preset": "digits", "em": "large"}, "em"),
        ({"preset": "digits", "backgrounds": {"marble": 1}}, "marble"),
        ({"preset": "digits", "palette": "gaudy"}, "gaudy"),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(CrnnError, match=message):
        Synthesizer(**({"fonts": "packages"} | options))  # type: ignore[arg-type]


def test_an_empty_corpus_is_an_error(tmp_path: Path) -> None:
    with refused(tmp_path):
        Synthesizer("latin", fonts="packages", corpus=tmp_path)
    (tmp_path / "blank.txt").write_text("\n \n", "utf-8")
    with refused(tmp_path):
        Synthesizer("latin", fonts="packages", corpus=tmp_path)
    (tmp_path / "latin1.txt").write_bytes("café".encode("latin-1"))
    with refused("latin1.txt"):
        Synthesizer("latin", fonts="packages", corpus=tmp_path)


def test_a_font_without_the_glyphs_is_an_error(tmp_path: Path) -> None:
    font = write_han_font(tmp_path / "few.ttf", "0123")
    synthesizer = Synthesizer("digits", fonts=font, alphabet=Alphabet("56789"))
    with refused():
        synthesizer.line(0)


def test_a_broken_font_is_an_error_alone_and_skipped_among_others(
    tmp_path: Path, han_font: Path
) -> None:
    (tmp_path / "torn.ttf").write_bytes(han_font.read_bytes()[:5000])
    with pytest.raises(CrnnError, match=r"torn\.ttf"):
        Synthesizer("digits", fonts=tmp_path / "torn.ttf")
    shutil.copy(han_font, tmp_path / "good.ttf")
    assert len(Synthesizer("digits", fonts=tmp_path).fonts.faces) == 1


def test_chinese_presets_can_draw_every_character(fonts: list[str]) -> None:
    assert CHINESE
    for preset in CHINESE:
        assert Synthesizer(preset, fonts=fonts).texts.without_font == []


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(CrnnError, match="'held-out'"):
        Synthesizer("digits", split="held-out", fonts="packages")


def test_characters_in_cells_are_as_wide_as_each_other(fonts: list[str]) -> None:
    plain: dict[str, Any] = dict.fromkeys(("rotate", "shear", "perspective", "weight"), NEVER)
    synthesizer = Synthesizer("plate", fonts=fonts, cells=(1.0, 0.5, 0.5), stand_ins={}, **plain)
    for index in range(20):
        sample = synthesizer.line(index)
        width, height = (sample.boxes[:, [2, 3]] - sample.boxes[:, [0, 1]]).T
        assert np.ptp(height) < 0.01 * height.max()
        filled = np.array([character not in "1IJ" for character in sample.text])
        assert np.ptp(width[filled]) < 0.01 * width.max()
        assert width[~filled].max(initial=0) <= 1.01 * width[filled].max()
        x = sample.boxes[:, [0, 2]].mean(1)
        assert np.ptp(np.diff(x[2:])) < 0.2 * width.max()  # whole pixels; after the dot


def test_a_stand_in_is_drawn_in_half_of_the_lines_and_not_read() -> None:
    synthesizer = Synthesizer(
        "digits", fonts="packages", alphabet=Alphabet("1"), stand_ins={"1": "."}, dots=NEVER
    )
    lines = [synthesizer.line(index) for index in range(60)]
    assert {*"".join(line.text for line in lines)} == {"1"}
    high = [(line.boxes[:, 3] - line.boxes[:, 1]).mean() / len(line.image) for line in lines]
    assert 15 < sum(share < 0.4 for share in high) < 45


def test_a_panel_shows_what_is_around_it(fonts: list[str]) -> None:
    plain: dict[str, Any] = dict.fromkeys(("rotate", "shear", "perspective", "border"), NEVER)
    plain |= dict.fromkeys(("gradient", "noise", "jpeg", "lowres", "motion", "blur"), NEVER)
    plain |= {"backgrounds": {"plain": 1.0}, "crop": (0.2, 0.2), "sides": (0.2, 0.2)}

    def corners_of_the_plates_colour(panel: tuple[float, float, float]) -> int:
        synthesizer = Synthesizer("plate", fonts=fonts, panel=panel, **plain)
        count = 0
        for index in range(30):
            image = synthesizer.line(index).image
            colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
            count += np.array_equal(image[0, 0], colours[counts.argmax()])
        return count

    assert corners_of_the_plates_colour(NEVER) == 30
    assert corners_of_the_plates_colour((1.0, 0.4, 0.4)) < 10


def test_a_tight_side_ends_where_the_ink_does(fonts: list[str]) -> None:
    plain: dict[str, Any] = {"rotate": NEVER, "shear": NEVER, "perspective": NEVER, "curve": NEVER}
    plain |= {"crop": (0.3, 0.3), "sides": (0.3, 0.3), "rules": NEVER, "elastic": NEVER}

    def least_space(tight: tuple[float, float, float]) -> list[float]:
        synthesizer = Synthesizer("digits", fonts=fonts, tight=tight, **plain)
        spaces = []
        for index in range(20):
            sample = synthesizer.line(index)
            height, width = sample.image.shape[:2]
            x0, y0 = sample.boxes[:, :2].min(0)
            x1, y1 = sample.boxes[:, 2:].max(0)
            spaces.append(min(x0, y0, width - x1, height - y1) / height)
        return spaces

    assert min(least_space(NEVER)) > 0.1
    assert max(abs(space) for space in least_space((1.0, 0.0, 0.0))) < 0.05
    assert max(least_space((1.0, -0.05, -0.05))) < 0


def test_lifted_characters_are_those_that_are_asked_for(fonts: list[str]) -> None:
    synthesizer = Synthesizer("digits", fonts=fonts, rare=1.0, lift="70")
    texts = [synthesizer.line(index).text for index in range(40)]
    assert all("7" in text or "0" in text for text in texts)
    with pytest.raises(CrnnError):
        Synthesizer("digits", fonts=fonts, rare=1.0, lift="x")
