"""Large JPEGs decoded at a part of their size: the same line, in the same place."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crnn_runtime import Recognizer
from crnn_runtime.picture.load import load_image, load_line
from crnn_runtime.picture.preprocess import resize_line

CARD = barcode_card()


def jpeg(image: NDArray[np.uint8], *options: int) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95, *options])[1].tobytes()


def line(height: int, width: int) -> NDArray[np.uint8]:
    """Print on a gradient."""
    image = np.tile(np.linspace(255, 190, width).astype(np.uint8), (height, 1))
    place, size = (height // 8, height * 3 // 4), height / 40
    cv2.putText(image, "CRNN reads", place, cv2.FONT_HERSHEY_SIMPLEX, size, 20, height // 12)
    return image


def turned(data: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that says how to turn it."""
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0]) + b"\0" * 6
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


@pytest.mark.parametrize(
    ("height", "expected"), [(32, 1), (127, 1), (128, 2), (255, 2), (256, 4), (511, 4), (520, 8)]
)
def test_at_least_twice_the_height_remains(height: int, expected: int) -> None:
    image, reduction = load_line(jpeg(line(height, height * 5)), CARD)
    assert reduction == expected
    assert image.shape == (height // expected, height * 5 // expected)


@settings(max_examples=25, deadline=None)
@given(height=st.integers(128, 420), aspect=st.floats(1, 12), gray=st.booleans())
def test_it_looks_as_if_decoded_whole(height: int, aspect: float, gray: bool) -> None:
    card = CARD if gray else CARD.replace(color="rgb", mean=(0.5,) * 3, std=(0.5,) * 3)
    image = line(height, round(height * aspect))
    data = jpeg(image if gray else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    small, reduction = load_line(data, card)
    assert reduction > 1
    part = image.shape[0] // reduction * reduction, image.shape[1] // reduction * reduction
    whole = resize_line(load_image(data, card.color)[: part[0], : part[1]], card)
    reduced = resize_line(small, card)
    assert reduced.shape == whole.shape
    assert np.abs(reduced.astype(int) - whole).mean() < 2  # of 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(256, 1200), (261, 1203)])
def test_it_is_turned_upright(orientation: int, size: tuple[int, int]) -> None:
    data = turned(jpeg(line(*size)), orientation)
    whole = load_image(data, "gray")
    reduced, reduction = load_line(data, CARD)
    assert reduction == 4
    assert reduced.shape == (whole.shape[0] // 4, whole.shape[1] // 4)
    expected = cv2.resize(whole, reduced.shape[::-1], interpolation=cv2.INTER_AREA)

    def error(other: NDArray[np.uint8]) -> float:
        return float(np.abs(reduced.astype(int) - other).mean())

    # Mirrored pictures lose their other edge, a part of a pixel: sharp print differs a little.
    wrong = [error(cv2.flip(expected, axis)) for axis in (-1, 0, 1)]
    assert error(expected) < min(10.0, min(wrong) / 2)


def test_what_is_not_a_large_jpeg_is_left_alone() -> None:
    large = line(400, 2000)
    assert load_line(large, CARD)[1] == 1
    assert load_line(cv2.imencode(".png", large)[1].tobytes(), CARD)[1] == 1
    assert load_line(jpeg(large), CARD.replace(shrink="linear"))[1] == 1
    assert load_line(jpeg(line(128, 8200)), CARD)[1] == 1  # read in pieces
    assert load_line(jpeg(line(128, 8200)), CARD.replace(width=280))[1] == 2
    assert load_line(jpeg(large, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), CARD)[1] == 4


@pytest.mark.parametrize("enlarged", [4, 9, 16, 31])
def test_characters_keep_their_places(tmp_path: Path, enlarged: int) -> None:
    recognizer = Recognizer(write_barcode_reader(tmp_path / "reader.onnx"), threads=1)
    small = draw_barcode("0123456789")
    (expected,) = recognizer.read([small])
    large = np.kron(small, np.ones((enlarged, enlarged), np.uint8))
    (found,) = recognizer.read([jpeg(large)])
    assert found.text == expected.text == "0123456789"
    for mine, theirs in zip(found.chars, expected.chars, strict=True):
        assert mine.x0 / enlarged == pytest.approx(theirs.x0, abs=0.3)
        assert mine.x1 / enlarged == pytest.approx(theirs.x1, abs=0.3)
