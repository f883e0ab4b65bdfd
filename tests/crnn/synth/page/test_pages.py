from pathlib import Path

import cv2
import numpy as np
import pytest
from refusals import refused

from crnn.synth.page import PageSynthesizer
from crnn_runtime import CrnnError
from crnn_runtime.model.alphabet import Alphabet

FONTS = "packages"  # those of this project's own requirements, on any machine


@pytest.fixture(scope="module")
def pages() -> PageSynthesizer:
    return PageSynthesizer(seed=1, fonts=FONTS, alphabet=Alphabet.load("latin"))


def test_a_page_depends_on_its_number_alone(pages: PageSynthesizer) -> None:
    first = pages.page(3)
    pages.page(4)
    again = pages.page(3)
    assert np.array_equal(first.image, again.image)
    assert [line.text for line in first.lines] == [line.text for line in again.lines]


@pytest.mark.parametrize("view", ["clean", "scan", "photo", "turned"])
def test_every_line_stands_within_its_polygon(view: str) -> None:
    pages = PageSynthesizer(
        seed=2, fonts=FONTS, alphabet=Alphabet.load("latin"), views={view: 1}, kinds={"letter": 1}
    )
    page = pages.page(0)
    height, width, _ = page.image.shape
    grey = page.image.min(2)
    for line in page.lines:
        assert line.text == line.text.strip() != ""
        assert (line.polygon >= -2).all()
        assert (line.polygon <= [width + 2, height + 2]).all()
        mask = np.zeros_like(grey)
        cv2.fillConvexPoly(mask, line.polygon.round().astype(np.int32), 1)
        inside = grey[mask == 1].astype(int)
        assert np.percentile(inside, 95) - np.percentile(inside, 2) > 40  # ink and paper
    polygons = [line.polygon for line in page.lines]
    for number, polygon in enumerate(polygons):
        for other in polygons[number + 1 :]:
            shared = cv2.intersectConvexConvex(polygon, other)[0]
            assert shared < 0.3 * cv2.contourArea(polygon)


@pytest.mark.parametrize("kind", ["letter", "columns", "table", "receipt", "notice"])
def test_every_kind_has_lines_in_blocks(kind: str) -> None:
    pages = PageSynthesizer(
        seed=5, fonts=FONTS, alphabet=Alphabet.load("latin"), kinds={kind: 1}, views={"clean": 1}
    )
    page = pages.page(1)
    assert page.kind == kind
    assert len(page.lines) >= 3
    blocks = [line.block for line in page.lines]
    assert blocks == sorted(blocks)


def test_unknown_kinds_and_views() -> None:
    for wrong in ({"kinds": {"novel": 1.0}}, {"views": {"x-ray": 1.0}}):
        with pytest.raises(CrnnError):
            PageSynthesizer(fonts=FONTS, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("characters", ["latin", "的一是不了在人有我0123456789"])
def test_pages_are_in_the_languages_that_the_alphabet_has(han_font: Path, characters: str) -> None:
    alphabet = Alphabet.load(characters)
    pages = PageSynthesizer(fonts=[FONTS, str(han_font)], alphabet=alphabet, kinds={"receipt": 1.0})
    for number in range(6):
        assert all(alphabet.has(line.text) for line in pages.page(number).lines)


def test_an_alphabet_without_words_is_refused() -> None:
    with refused("no word"):
        PageSynthesizer(fonts=FONTS, alphabet=Alphabet.load("digits"))
