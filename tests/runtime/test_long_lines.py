"""Lines wider than the model, read in pieces."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from barcode import ALPHABET, STEP, STRIDE, barcode_card, draw_barcode, write_barcode_reader
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from crnn_runtime import ImageError, Recognizer
from crnn_runtime.line import Char
from crnn_runtime.long_lines import seam
from crnn_runtime.picture.preprocess import cut

CARD = barcode_card(head="greedy", max_width=320)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Recognizer]:
    """Maximum width → the barcode reader with it."""
    folder = tmp_path_factory.mktemp("readers")
    return {
        width: Recognizer(
            write_barcode_reader(
                folder / f"{width}.onnx", barcode_card(head="greedy", max_width=width)
            ),
            threads=1,
        )
        for width in (160, 320, 2048)
    }


def draw_wide(text: str) -> np.ndarray:
    """Four steps of blank after each character: wide enough for a cut to fall between."""
    levels = [255]
    for character in text:
        levels += [255 - STEP * ALPHABET.codes[character], *[255] * 3]
    return np.tile(np.repeat(np.array(levels, np.uint8), STRIDE), (32, 1))


@settings(max_examples=40, deadline=None)
@given(text=st.text("0123456789", min_size=1, max_size=60), width=st.sampled_from([160, 320]))
def test_a_line_in_pieces_reads_as_the_whole(
    readers: dict[int, Recognizer], text: str, width: int
) -> None:
    image = draw_wide(text)
    (line,) = readers[width].read([image])
    (whole,) = readers[2048].read([image])
    assert whole.pieces == 1
    assert (line.pieces == 1) == (image.shape[1] <= width - STRIDE)
    assert line.text == whole.text == text
    assert line.raw == whole.raw
    places = [[(char.x0, char.x1) for char in read.chars] for read in (line, whole)]
    assert places[0] == places[1]


def test_positions_are_those_of_the_source_also_when_it_is_scaled(
    readers: dict[int, Recognizer],
) -> None:
    image = draw_wide("0123456789" * 4)
    doubled = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    (line,) = readers[320].read([doubled])
    assert line.pieces > 2
    assert line.text == "0123456789" * 4
    starts = np.array([char.x0 for char in line.chars])
    assert np.abs(starts - 2 * STRIDE * (1 + 4 * np.arange(40))).max() <= 2 * STRIDE


def test_a_receipt_as_wide_as_they_come(readers: dict[int, Recognizer]) -> None:
    text = "31415926535897932384" * 16
    image = draw_wide(text)
    assert image.shape[1] > 10_000
    assert readers[2048].read([image])[0].text == text


def test_long_and_short_lines_together(readers: dict[int, Recognizer]) -> None:
    texts = ["1" * 40, "2", "0123456789" * 5, ""]
    lines = readers[160].read([draw_wide(text) for text in texts])
    assert [line.text for line in lines] == texts


@given(st.integers(1, 80), st.integers(1, 20_000))
def test_pieces_cover_the_line_and_fit_the_model(height: int, width: int) -> None:
    if width > 2000 * height or height > 32 * width:
        return
    pieces = cut(height, width, CARD)
    assert pieces[0].offset == 0
    assert pieces[-1].offset + pieces[-1].width == width
    for piece in pieces:
        assert piece.height == height
        assert int(piece.width * 32 / height + 0.5) <= CARD.max_width
    for left, right in pairwise(pieces):
        assert left.offset + left.width - right.offset >= 2 * height


def test_a_fixed_width_model_never_cuts() -> None:
    assert len(cut(32, 5000, CARD.replace(width=280))) == 1


def test_an_absurd_shape_is_refused() -> None:
    with refused(4, 8001, kind=ImageError):
        cut(4, 8001, CARD)
    with refused(5000, 3, kind=ImageError):
        cut(5000, 3, CARD)
    assert len(cut(96, 3, CARD)) == 1


def test_the_seam_lies_in_the_widest_gap() -> None:
    # Between 25 and 75 of an overlap of 100: gaps of 5, 22, 8 and 4.
    chars = [Char("a", 1.0, *edges) for edges in ((30, 32), (54, 60), (68, 71), (80, 90))]
    assert seam(chars, 0, 100) == 43.0
    assert seam([], 0, 100) == 50.0


def test_draw_barcode_is_not_cut(readers: dict[int, Recognizer]) -> None:
    (line,) = readers[2048].read([draw_barcode("123")])
    assert (line.text, line.pieces) == ("123", 1)
