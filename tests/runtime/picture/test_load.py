"""Pictures as users have them."""

import contextlib
import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from refusals import refused

from crnn_runtime import ImageError
from crnn_runtime.picture.header import image_size, jpeg_is_complete
from crnn_runtime.picture.load import MAX_FILE_BYTES, load_image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
PICTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (48, 160, 3), np.uint8), (0, 0), 4
)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_size_from_the_header(kind: str) -> None:
    assert image_size(encode(Image.fromarray(PICTURE), kind)) == (48, 160)


def test_size_of_every_kind_of_webp() -> None:
    picture = Image.fromarray(PICTURE)
    for data in (
        encode(picture, "WEBP"),
        encode(picture, "WEBP", lossless=True),
        encode(picture, "WEBP", exif=b"Exif\0\0"),
    ):
        assert image_size(data) == (48, 160)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_file_is_an_error(kind: str, share: float) -> None:
    data = encode(Image.fromarray(PICTURE), kind)
    with refused(kind=ImageError):
        load_image(data[: int(len(data) * share)])


def test_a_png_with_one_wrong_byte_is_an_error() -> None:
    data = bytearray(encode(Image.fromarray(PICTURE), "PNG"))
    data[len(data) // 2] ^= 1
    with refused(kind=ImageError):
        load_image(bytes(data))


def test_bytes_of_every_kind() -> None:
    data = encode(Image.fromarray(PICTURE), "PNG")
    for source in (data, bytearray(data), memoryview(data)):
        np.testing.assert_array_equal(load_image(source), PICTURE)


def test_a_truncated_jpeg_with_a_whole_thumbnail_is_an_error() -> None:
    thumbnail = encode(Image.fromarray(PICTURE[:16, :16]), "JPEG")
    data = encode(Image.fromarray(PICTURE), "JPEG", exif=b"Exif\0\0" + thumbnail)
    assert load_image(data).shape == (48, 160, 3)
    assert jpeg_is_complete(data)
    assert not jpeg_is_complete(data[:-20])  # some decoders fill the rest with grey
    with refused(kind=ImageError):
        load_image(data[:-20])


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "1", "I;16"])
def test_every_kind_of_pixel_becomes_8_bit(mode: str) -> None:
    gray = Image.fromarray(PICTURE).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    else:
        image = gray.convert(mode)
    expected = np.asarray(gray.convert("1").convert("L") if mode == "1" else gray)
    data = encode(image, "PNG")
    assert load_image(data).shape == (48, 160, 3)
    loaded = load_image(data, "gray")
    assert loaded.dtype == np.uint8
    assert np.abs(loaded.astype(int) - expected).max() <= 1


def test_transparency_becomes_white() -> None:
    image = np.zeros((10, 10, 4), np.uint8)  # black, all transparent
    image[:, :5, 3] = 255
    for source in (image, encode(Image.fromarray(image), "PNG")):
        assert (load_image(source)[:, 5:] == 255).all()
        assert (load_image(source)[:, :5] == 0).all()


def test_colour_order() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 255
    for source in (red, encode(Image.fromarray(red), "PNG"), encode(Image.fromarray(red), "JPEG")):
        assert load_image(source, "rgb")[0, 0].argmax() == 0
        assert load_image(source, "bgr")[0, 0].argmax() == 2
        assert abs(int(load_image(source, "gray")[0, 0]) - 76) <= 1  # ITU-R BT.601


def test_exif_orientation_turns_a_jpeg() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90°
    assert load_image(encode(Image.fromarray(PICTURE), "JPEG", exif=exif)).shape == (160, 48, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_exif_orientation_turns_other_pictures_too(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(PICTURE)
    if kind != "TIFF":
        image.putalpha(200)  # is not lost
    data = encode(image, kind, exif=exif, lossless=True)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(load_image(data), load_image(np.ascontiguousarray(upright)))


@pytest.mark.parametrize("damage", [b"", b"II*\0", b"MM\0*\0\0\0\xff", b"MM\0*\0\0\0\x08\xff\xff"])
def test_damaged_exif_is_no_exif(damage: bytes) -> None:
    assert load_image(encode(Image.fromarray(PICTURE), "PNG", exif=damage)).shape == (48, 160, 3)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "line.png")
    with refused(kind=ImageError):
        load_image(tmp_path / "line.png")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "line.png"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1_000_000)  # takes no room on the disk
    with refused(257, 256, kind=ImageError):
        load_image(path)


def test_paths_that_are_not_ascii(tmp_path: Path) -> None:
    path = tmp_path / "строка 行 é.png"
    path.write_bytes(encode(Image.fromarray(PICTURE), "PNG"))
    np.testing.assert_array_equal(load_image(path), PICTURE)


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims to be huge and costs nothing to make."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (b"", ""),
        (b"Not a picture at all.", ""),
        (b"\x89PNG\r\n\x1a\n", ""),
        (bomb(20_000, 20_000), "20000 × 20000"),
        (bomb(1, 0), "1 × 0"),
        (np.zeros((0, 1, 3), np.uint8), "1 × 0"),
        ("/dev/null", ""),
        (np.zeros((8, 8)), "float64"),
        (np.zeros((8, 8, 2), np.uint8), "(8, 8, 2)"),
        (np.zeros(8, np.uint8), "(8,)"),
        (None, "None"),
        (7, "int"),
        (ImageError("lost on the way"), "lost on the way"),
        ("no/such/file.png", ""),
        ("/", "directory"),
        ("nul\0byte.png", ""),
    ],
)
def test_what_cannot_be_read_says_why(source: object, name: str) -> None:
    with refused(name, kind=ImageError):
        load_image(source)


def test_float_pixels_are_refused() -> None:
    data = encode(Image.fromarray(PICTURE).convert("F"), "TIFF")
    with refused("float32", kind=ImageError):
        load_image(data)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damage_is_an_image_error_or_a_picture(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(encode(Image.fromarray(PICTURE), kind))
    for position, value in changes:
        data[position % len(data)] = value
    with contextlib.suppress(ImageError):
        image = load_image(bytes(data))
        assert image.dtype == np.uint8
        assert image.ndim == 3
