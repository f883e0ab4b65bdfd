import cv2
import numpy as np
import pytest
from barcode import barcode_card
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from crnn_runtime import Alphabet, ImageError, ModelCard
from crnn_runtime.picture.preprocess import (
    padded_width,
    prepare,
    resize_line,
    scaled_width,
    to_input,
    valid_steps,
    width_bucket,
)

CARD = ModelCard(arch="x", alphabet=Alphabet("ab"), time_stride=8, time_origin=0.0)


@given(st.integers(1, 5000))
def test_buckets_hold_the_line_with_little_padding(width: int) -> None:
    bucket = width_bucket(width)
    assert bucket >= width
    assert bucket - width < max(32, width / 8)
    assert width_bucket(bucket) == bucket


def test_the_number_of_buckets_is_bounded() -> None:
    assert len({width_bucket(width) for width in range(1, 2049)}) == 32


def test_a_fixed_width_is_never_padded() -> None:
    fixed = CARD.replace(width=280)
    assert scaled_width(fixed, 10, 7) == 280
    assert padded_width(fixed, 280) == 280
    assert valid_steps(fixed, 280) >= 35


@given(st.integers(4, 400), st.integers(1, 2000))
def test_the_aspect_ratio_is_kept(height: int, width: int) -> None:
    exact = width * 32 / height
    if exact < 2048:
        assert abs(scaled_width(CARD, height, width) - max(exact, 1)) <= 0.5
    elif exact >= 2049:
        with refused(kind=ImageError):
            scaled_width(CARD, height, width)


def test_input_is_normalised_padded_and_in_the_cards_colours() -> None:
    image = np.zeros((32, 40, 3), np.uint8)
    image[:, :, 0] = 255  # red
    pixels, steps = prepare(image, CARD)
    assert pixels.shape == (1, 3, 32, 64)
    assert pixels.dtype == np.float32
    expected = (np.array([1, 0, 0]) - CARD.mean) / CARD.std
    np.testing.assert_allclose(pixels[0, :, 5, 7], expected, rtol=1e-5)
    assert not pixels[:, :, :, 40:].any()
    assert steps == 6  # centred on 0, 8, … 40
    swapped, _ = prepare(image, CARD.replace(color="bgr"))
    expected = (np.array([0, 0, 1]) - CARD.mean) / CARD.std
    np.testing.assert_allclose(swapped[0, :, 5, 7], expected, rtol=1e-5)


def test_shrinking_averages() -> None:
    stripes = np.tile(np.array([[0], [255]], np.uint8), (64, 300))  # one pixel each
    line = resize_line(stripes, barcode_card())
    assert line.shape == (32, 75, 1)
    assert 126 <= line.min() <= line.max() <= 129


def test_tall_and_one_character_crops_survive() -> None:
    tall = cv2.resize(np.full((40, 8), 200, np.uint8), (3, 400))
    assert resize_line(tall, barcode_card()).shape == (32, 1, 1)
    assert to_input([resize_line(tall, barcode_card())], barcode_card()).shape == (1, 1, 32, 32)


def test_a_batch_is_as_wide_as_its_widest_line() -> None:
    card = barcode_card()
    lines = [np.full((32, width, 1), 255, np.uint8) for width in (33, 70)]
    batch = to_input(lines, card)
    assert batch.shape == (2, 1, 32, 96)
    assert batch[0].sum() == pytest.approx(32 * 33, rel=1e-5)
