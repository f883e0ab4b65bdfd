"""Transparency: where a file keeps it, and the ground that is put behind it.

OpenCV decodes the transparency of most files. This module finds it in the others: TIFF in
grey with alpha, BMP with an alpha mask, PNG in grey with one transparent value.
"""

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ImageError
from crnn_runtime.picture.header import is_bmp, is_png, is_tiff, png_chunk, tiff_values

Pixels = NDArray[Any]
"""An array of pixels with 8 or 16 bits a channel."""

_SEEN = 127  # alpha from which on a pixel counts as opaque
_PLAIN = 40.0  # standard deviation of grey levels up to which opaque pixels are one ink
_WIDTH, _BITS, _PACKING, _SAMPLES, _PLANES, _PREDICTOR = 256, 258, 259, 277, 284, 317
_TILE_WIDTH, _EXTRA, _FORMAT = 322, 338, 339
_PREDICTED = frozenset({5, 8, 32946})  # LZW and Deflate: nothing else is told by differences
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of alpha in TIFF; 0 is a sample of any other use


def with_alpha(data: bytes, image: Pixels) -> Pixels:
    """An image as OpenCV decoded it from ``data``; (H, W, 4) if the file has transparency.

    Raises:
        ImageError: the transparency is there in a form that is not read.
    """
    if image.ndim == 3 and image.shape[2] == 4:
        return image
    alpha = None
    if is_tiff(data):
        alpha = _tiff_alpha(data)
    elif is_bmp(data):
        alpha = _bmp_alpha(data)
    elif is_png(data) and image.ndim == 2:
        alpha = _png_alpha(data, image)
    if alpha is None or alpha.shape != image.shape[:2]:
        return image
    colors = image if image.ndim == 3 else np.dstack([image] * 3)
    return np.dstack([colors, alpha.astype(image.dtype)])


def is_premultiplied(data: bytes, image: Pixels) -> bool:
    """Whether the colours of transparent pixels are darkened already, as OpenCV decoded them."""
    if not is_tiff(data):
        return False
    found = tiff_values(data, (_SAMPLES, _EXTRA))
    # libtiff does that itself where OpenCV takes its picture of four bytes a pixel.
    by_libtiff = found.get(_SAMPLES) == 4 and image.dtype == np.uint8
    return by_libtiff or found.get(_EXTRA) == _ASSOCIATED


def on_ground(image: NDArray[np.uint8], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """(H, W, 4) over a ground on which its ink is seen → (H, W, 3).

    Ink of one colour, or ink that covers less than half of the picture, gets a ground that
    is far from it: white, or black behind light ink. A picture that is mostly opaque has a
    paper of its own, and the ground is the one nearer to that.
    """
    alpha = image[:, :, 3:]
    if (alpha == 255).all():
        return image[:, :, :3]
    weight = alpha.astype(np.float32) / 255
    colors = image[:, :, :3].astype(np.float32)
    if not premultiplied:
        colors *= weight
    total = float(weight.sum())
    mean = float(colors.mean(axis=2).sum()) / total if total else 0.0
    seen = alpha[:, :, 0] > _SEEN
    is_paper = seen.mean() > 0.5 and image[:, :, :3].mean(axis=2)[seen].std() > _PLAIN
    ground = 255 if (mean >= 128) == is_paper else 0
    return np.clip(colors + ground * (1 - weight) + 0.5, 0, 255).astype(np.uint8)


def _tiff_alpha(data: bytes) -> Pixels | None:
    """The second sample of a picture in grey and alpha."""
    tags = (_WIDTH, _PACKING, _SAMPLES, _PLANES, _PREDICTOR, _TILE_WIDTH, _EXTRA)
    found = tiff_values(data, tags)
    kind = found.get(_EXTRA)
    if found.get(_SAMPLES) != 2 or kind not in (_ASSOCIATED, _UNASSOCIATED):
        return None
    is_tiled = _TILE_WIDTH in found
    differs = found.get(_PREDICTOR, 1) != 1 and found.get(_PACKING) in _PREDICTED
    both = None
    if found.get(_PLANES, 1) == 1 and not (is_tiled and differs):
        both = _decoded(_as_one_sample(data))
    if both is None or both.ndim != 2 or both.shape[1] != 2 * found[_WIDTH]:
        raise ImageError(
            "image is a grey TIFF with transparency in a form that is not read: save it as PNG"
        )
    pairs = both.reshape(both.shape[0], -1, 2)
    if differs:  # each value was added to its neighbour instead of to that of its own sample
        steps = np.diff(both, axis=1, prepend=np.zeros_like(both[:, :1]))
        pairs = np.cumsum(steps.reshape(pairs.shape), axis=1, dtype=both.dtype)
    alpha: Pixels = pairs[:, :, 1]
    return alpha


def _as_one_sample(data: bytes) -> bytes:
    """A TIFF of two samples a pixel as one of one sample and twice the width."""
    order = "<" if data.startswith(b"II") else ">"
    (place,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, place)
    entries = []
    for start in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind, length, value = struct.unpack_from(order + "HHI4s", data, start)
        number = struct.unpack_from(order + ("H" if kind == 3 else "I"), value)[0]
        if tag == _EXTRA:
            continue
        if tag in (_BITS, _FORMAT):  # of each sample; both are equal
            length, value = 1, value[:2] + b"\0\0"
        elif tag in (_WIDTH, _TILE_WIDTH):
            kind, value = 4, struct.pack(order + "I", 2 * number)
        elif tag == _SAMPLES:
            kind, value = 4, struct.pack(order + "I", 1)
        entries.append(struct.pack(order + "HHI4s", tag, kind, length, value))
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    head = data[:4] + struct.pack(order + "I", len(data) + len(data) % 2)
    return head + data[8:] + bytes(len(data) % 2) + directory


def _decoded(data: bytes) -> Pixels | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _bmp_alpha(data: bytes) -> Pixels | None:
    """The fourth byte of a BMP with 32 bits a pixel, or what its alpha mask selects.

    That byte is unused, says the format; programs keep alpha in it all the same. Where it
    is nowhere set, as in the files of others, the picture is opaque.
    """
    start, size = struct.unpack_from("<II", data, 10)
    if size < 40:
        return None
    width, height = struct.unpack_from("<ii", data, 18)
    bits, packing = struct.unpack_from("<HI", data, 28)
    masked = packing == 3 and size >= 56  # BI_BITFIELDS, BITMAPV3INFOHEADER
    mask = struct.unpack_from("<I", data, 66)[0] if masked else 0xFF00_0000
    if bits != 32 or not mask or (packing and not masked):
        return None
    pixels = np.frombuffer(data, "<u4", abs(height) * width, start).reshape(abs(height), width)
    shift = (mask & -mask).bit_length() - 1
    alpha = (pixels & mask) >> shift
    if not alpha.any():
        return None
    alpha = (alpha * np.uint64(255) // (mask >> shift)).astype(np.uint8)
    return alpha if height < 0 else alpha[::-1]


def _png_alpha(data: bytes, image: Pixels) -> Pixels | None:
    """Marks the pixels that have the value that a PNG in grey calls transparent."""
    bits, color = data[24], data[25]
    value = png_chunk(data, b"tRNS")
    if color != 0 or len(value) != 2:
        return None
    (number,) = struct.unpack(">H", value)
    if bits < 8:  # decoded to 8
        number = number * 255 // ((1 << bits) - 1)
    most = np.iinfo(image.dtype).max
    return np.where(image == number, 0, most).astype(image.dtype)
