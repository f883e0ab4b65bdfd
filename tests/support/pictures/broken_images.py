"""Pictures of every kind that is read, damaged in every way: the same for the same number."""

import struct
import zlib
from functools import cache

import cv2
import numpy as np
from barcode import draw_barcode
from odd_images import opaque_images, transparent_images

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)


@cache
def whole_images() -> dict[str, bytes]:
    """Kind → a small picture of it, which is read."""
    gray = draw_barcode("314")
    color = np.dstack([gray] * 3)
    deep = gray.astype(np.uint16) * 257
    kinds = {
        "gray.png": (".png", gray, []),
        "color.png": (".png", color, []),
        "alpha.png": (".png", np.dstack([color, np.full_like(gray, 255)]), []),
        "deep.png": (".png", deep, []),
        "gray.jpg": (".jpg", gray, []),
        "color.jpg": (".jpg", color, []),
        "progressive.jpg": (".jpg", color, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        "large.jpg": (".jpg", cv2.resize(color, None, fx=5, fy=5), []),
        "lossy.webp": (".webp", color, [cv2.IMWRITE_WEBP_QUALITY, 80]),
        "lossless.webp": (".webp", color, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        "gray.bmp": (".bmp", gray, []),
        "color.bmp": (".bmp", color, []),
        "gray.tiff": (".tiff", gray, []),
        "packed.tiff": (".tiff", color, [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
        "plain.tiff": (".tiff", deep, [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
        "color.gif": (".gif", color, []),
    }
    images = {
        name: cv2.imencode(suffix, pixels, options)[1].tobytes()
        for name, (suffix, pixels, options) in kinds.items()
    }
    # Orientation 6, a quarter turn: Exif 2.32, section 4.6.4.
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tiff
    turned = images["color.jpg"]
    images["turned.jpg"] = (
        turned[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + turned[2:]
    )
    return images


@cache
def _odd_images() -> list[bytes]:
    return [*opaque_images().values(), *transparent_images(0).values()]


def broken_image(number: int) -> bytes:
    """One of the pictures with up to three kinds of damage; now and then bytes at random.

    Half of the PNGs get right checksums, so that the damage reaches the decoder.
    """
    generator = np.random.default_rng(number)
    images = [*whole_images().values(), *_odd_images()]
    if generator.random() < 0.05:
        start = images[generator.integers(len(images))][: generator.integers(20)]
        return start + generator.bytes(generator.integers(400))
    data = bytearray(images[generator.integers(len(images))])
    for _ in range(generator.integers(1, 4)):
        _damage(data, generator, images)
    return _with_checksums(bytes(data)) if generator.random() < 0.5 else bytes(data)


def _with_checksums(data: bytes) -> bytes:
    """The chunks of a PNG with their right checksums, as far as chunks can be told."""
    if not data.startswith(b"\x89PNG"):
        return data
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunk = data[place + 4 : place + 8 + length]
        parts += [data[place : place + 4], chunk, struct.pack(">I", zlib.crc32(chunk))]
        place += 12 + length
    return b"".join(parts)


def _damage(data: bytearray, generator: np.random.Generator, images: list[bytes]) -> None:
    # Much of it in the header, where it does most harm.
    end = len(data) if generator.random() < 0.7 else min(len(data), 64)
    place, length = int(generator.integers(end + 1)), int(generator.integers(1, 33))
    match generator.integers(7):
        case 0:
            del data[place:]
        case 1:
            del data[place : place + length]
        case 2:
            data[place:place] = generator.bytes(length)
        case 3:
            data[place : place + length] = generator.bytes(length)
        case 4:
            order = "<" if generator.random() < 0.5 else ">"
            size, kind = ((1, "B"), (2, "H"), (4, "I"))[generator.integers(3)]
            value = _EXTREMES[generator.integers(len(_EXTREMES))] & (256**size - 1)
            data[place : place + size] = struct.pack(order + kind, value)
        case 5:
            other = images[generator.integers(len(images))]
            start = int(generator.integers(len(other)))
            data[place : place + length] = other[start : start + 8 * length]
        case _:
            for bit in generator.integers(8 * max(1, len(data)), size=length):
                if bit // 8 < len(data):
                    data[bit // 8] ^= 1 << bit % 8
