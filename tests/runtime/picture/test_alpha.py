"""Transparent pictures, and colour types that a decoder may take for others."""

import io
import struct

import numpy as np
import pytest
from odd_images import INK, encode, opaque_images, transparent_images
from PIL import Image
from refusals import refused

from crnn_runtime import ImageError
from crnn_runtime.picture.load import load_image


def levels(data: bytes | np.ndarray) -> tuple[float, float]:
    """Mean grey of the ink and of the ground."""
    image, color = load_image(data, "gray"), load_image(data)
    assert np.abs(color.mean(axis=2) - image).max() < 3
    return float(image[INK].mean()), float(image[~INK].mean())


@pytest.mark.parametrize("kind", opaque_images())
def test_every_colour_type_is_as_bright_as_it_is(kind: str) -> None:
    ink, ground = levels(opaque_images()[kind])
    assert ink < 50
    assert ground > 220


@pytest.mark.parametrize("level", [0, 255, 200])
@pytest.mark.parametrize("kind", transparent_images(0))
def test_a_transparent_ground_lets_the_ink_be_seen(kind: str, level: int) -> None:
    ink, ground = levels(transparent_images(level)[kind])
    assert abs(ink - level) <= 1
    assert ground == (255 if level < 128 else 0)


def test_a_picture_of_an_array_is_treated_alike() -> None:
    alpha = np.where(INK, 255, 0).astype(np.uint8)
    assert levels(np.dstack([np.full_like(alpha, 255)] * 3 + [alpha])) == (255, 0)
    assert levels(np.dstack([np.zeros_like(alpha)] * 3 + [alpha])) == (0, 255)


@pytest.mark.parametrize("paper", [250, 5])
def test_the_corners_of_a_paper_are_as_bright_as_the_paper(paper: int) -> None:
    """Rounded, as programs cut out their windows."""
    grey = np.where(INK, 255 - paper, paper).astype(np.uint8)
    alpha = np.full_like(grey, 255)
    alpha[:3, :3] = alpha[-3:, -3:] = 0
    image = load_image(np.dstack([grey] * 3 + [alpha]), "gray")
    assert abs(int(image[0, 0]) - paper) <= 5


def test_a_hole_in_one_plain_colour_is_what_is_written() -> None:
    alpha = np.where(INK, 0, 255).astype(np.uint8)
    assert levels(np.dstack([np.full_like(alpha, 255)] * 3 + [alpha])) == (0, 255)


def test_half_transparent_pixels_are_as_bright_in_every_format() -> None:
    color = [flat := Image.new("L", INK.shape[::-1], value) for value in (200, 100, 50)]
    alpha = Image.fromarray(np.where(INK, 255, 128).astype(np.uint8))
    picture = Image.merge("RGBA", (*color, alpha))
    wanted = load_image(encode(picture, "PNG")).astype(int)
    for kind in ("TIFF", "WEBP", "BMP"):
        assert np.abs(load_image(encode(picture, kind)) - wanted).max() <= 1
    grey = Image.merge("LA", (flat, alpha))
    wanted = load_image(encode(grey, "PNG"), "gray").astype(int)
    assert np.abs(load_image(encode(grey, "TIFF"), "gray") - wanted).max() <= 1


def _little_tiff(entries: list[tuple[int, int, int, int]], pixels: bytes) -> bytes:
    """Tag, type, count, value; the pixels lie behind the directory."""
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    place = 8 + 2 + 12 * len(entries) + 4
    packed = [struct.pack("<HHII", *entry[:3], entry[3] or place) for entry in entries]
    return head + b"".join(packed) + bytes(4) + pixels


@pytest.mark.parametrize("planes", [1, 2])
def test_grey_and_alpha_in_planes_of_their_own_are_refused(planes: int) -> None:
    height, width = INK.shape
    alpha = np.where(INK, 255, 0).astype(np.uint8)
    pixels = np.dstack([np.zeros_like(alpha), alpha])
    pixels = pixels if planes == 1 else np.moveaxis(pixels, 2, 0)
    data = _little_tiff(
        [
            (256, 3, 1, width), (257, 3, 1, height), (258, 3, 2, 8 | 8 << 16), (259, 3, 1, 1),
            (262, 3, 1, 1), (273, 4, 1, 0), (277, 3, 1, 2), (278, 3, 1, height),
            (279, 4, 1, pixels.size), (284, 3, 1, planes), (338, 3, 1, 2),
        ],
        pixels.tobytes(),
    )  # fmt: skip
    if planes == 1:
        assert levels(data) == (0, 255)
    else:
        with refused(kind=ImageError):
            load_image(data)


FILM = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40


def appended() -> dict[str, bytes]:
    jpeg = opaque_images()["cmyk.jpg"]
    return {
        "film": FILM,
        "zeros": bytes(5000),
        "scan": b"\xff\xda" + bytes(500),  # as if another scan began
        "picture": jpeg,
        "cut picture": jpeg[: len(jpeg) // 2],
        "noise": np.random.default_rng(0).bytes(20_000),
    }


@pytest.mark.parametrize("what", appended())
@pytest.mark.parametrize("kind", opaque_images())
def test_what_is_appended_changes_nothing(kind: str, what: str) -> None:
    data = opaque_images()[kind]
    assert np.array_equal(load_image(data + appended()[what]), load_image(data))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_is_truncated_before_its_end_wherever_another_end_is(progressive: bool) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 160, 3), np.uint8))
    small = encode(picture.resize((20, 6)), "JPEG")
    data = encode(picture, "JPEG", progressive=progressive, exif=b"Exif\0\0" + small)
    assert small in data
    load_image(data)
    for share in (0.2, 0.5, 0.99):
        with refused(kind=ImageError):
            load_image(data[: int(len(data) * share)])
    assert Image.open(io.BytesIO(data)).size == (160, 48)
