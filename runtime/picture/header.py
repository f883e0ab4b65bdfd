"""Size, orientation and completeness of an image file, read before it is decoded.

A huge picture is refused by its header, undecoded.
"""

import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Literal

from crnn_runtime.errors import ImageError

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15 less DHT, JPG, DAC
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a segment: TEM, RST0..RST7
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_ORIENTATION = 256, 257, 274
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def image_size(data: bytes) -> tuple[int, int]:
    """(height, width) in pixels as stored, before any EXIF rotation.

    Raises:
        ImageError: not a PNG, JPEG, BMP, GIF, WebP or TIFF file, or cut off in its header.
    """
    for magic, offset, reader in _FORMATS:
        if data.startswith(magic, offset):
            try:
                return reader(data)
            except (struct.error, IndexError) as error:
                raise ImageError("image is cut off in its header") from error
    raise ImageError("not an image: PNG, JPEG, BMP, GIF, WebP and TIFF are read")


def image_orientation(data: bytes) -> int:
    """The EXIF orientation (1 to 8) of a PNG or WebP file, 1 if it states none.

    JPEG and TIFF files count as 1: their decoders turn them.
    """
    if is_png(data):
        exif = png_chunk(data, b"eXIf")
    elif data.startswith(b"WEBP", 8):
        exif = _chunk(data, b"EXIF", 12, order="little").removeprefix(b"Exif\0\0")
    else:
        return 1
    try:
        return tiff_values(exif, (_TIFF_ORIENTATION,)).get(_TIFF_ORIENTATION, 1)
    except struct.error:
        return 1


def _chunk(data: bytes, wanted: bytes, position: int, *, order: Literal["big", "little"]) -> bytes:
    """Content of the first such chunk, empty if there is none. PNG is big-endian, WebP little."""
    while position + 8 <= len(data):
        fields = data[position : position + 4], data[position + 4 : position + 8]
        size, kind = fields if order == "big" else fields[::-1]
        length = int.from_bytes(size, order)
        if kind == wanted:
            return data[position + 8 : position + 8 + length]
        position += 8 + length + (4 if order == "big" else length % 2)  # checksum, padding
    return b""


def png_chunk(data: bytes, kind: bytes) -> bytes:
    """Content of a PNG's first chunk of a kind, empty if there is none."""
    return _chunk(data, kind, len(_PNG_MAGIC), order="big")


def is_tiff(data: bytes) -> bool:
    """Whether ``data`` begins as a TIFF file does."""
    return data.startswith((b"II*\0", b"MM\0*"))


def is_bmp(data: bytes) -> bool:
    """Whether ``data`` begins as a BMP file does."""
    return data.startswith(b"BM")


def may_hide_alpha(data: bytes) -> bool:
    """Whether a file is of a kind whose transparency OpenCV may leave out."""
    return is_tiff(data) or is_bmp(data) or (is_png(data) and bool(png_chunk(data, b"tRNS")))


def is_jpeg(data: bytes) -> bool:
    """Whether ``data`` begins as a JPEG file does."""
    return data.startswith(b"\xff\xd8\xff")


def jpeg_is_complete(data: bytes) -> bool:
    """Whether a JPEG's compressed data is followed by its end marker.

    Decoders fill what a truncated file lacks with grey instead of failing. Segments are
    skipped by their lengths up to the first scan, for a thumbnail in one has an end of its
    own; within a scan every 0xFF byte is escaped (ITU T.81, B.1.1.5). Bytes behind the end
    are not looked at: phones append films.
    """
    position = 2
    while True:
        found = _JPEG_MARKER.search(data, position)
        if found is None:
            return False
        marker, position = found[1][0], found.end()
        if marker == 0xDA:  # the first scan
            return data.find(b"\xff\xd9", position) != -1
        if marker not in _JPEG_BARE and marker != 0xD8:
            position += int.from_bytes(data[position : position + 2], "big")


def is_png(data: bytes) -> bool:
    """Whether ``data`` begins as a PNG file does."""
    return data.startswith(_PNG_MAGIC)


def png_is_complete(data: bytes) -> bool:
    """Whether every chunk of a PNG is there with its right checksum, up to the end chunk."""
    position = len(_PNG_MAGIC)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            return False
        (stated,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(memoryview(data)[position + 4 : end]) != stated:
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end + 4
    return False


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _jpeg(data: bytes) -> tuple[int, int]:
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ImageError("JPEG header is damaged")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _JPEG_BARE:
            position += 2
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return height, width
        else:
            (length,) = struct.unpack_from(">H", data, position + 2)
            position += 2 + length


def _bmp(data: bytes) -> tuple[int, int]:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:  # OS/2 BITMAPCOREHEADER
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(height), abs(width)  # a negative height means top-down rows


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return height, width


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8 ":  # RFC 6386, section 9.1
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return height, width
    raise ImageError("WebP header is damaged")


def _tiff(data: bytes) -> tuple[int, int]:
    found = tiff_values(data, (_TIFF_WIDTH, _TIFF_HEIGHT))
    if len(found) != 2:
        raise ImageError("TIFF header is damaged")
    return found[_TIFF_HEIGHT], found[_TIFF_WIDTH]


def tiff_values(data: bytes, tags: Sequence[int]) -> dict[int, int]:
    """Tag → value, for those tags in a TIFF's first directory; each value is one whole number."""
    order = "<" if data.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, directory)
    found = {}
    for i in range(count):
        entry = directory + 2 + 12 * i
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in tags:  # SHORT (3) or LONG (4), stored in the entry itself
            (found[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
    return found


_FORMATS: list[tuple[bytes, int, Callable[[bytes], tuple[int, int]]]] = [
    (_PNG_MAGIC, 0, _png),
    (b"\xff\xd8\xff", 0, _jpeg),
    (b"BM", 0, _bmp),
    (b"GIF8", 0, _gif),
    (b"WEBP", 8, _webp),
    (b"II*\0", 0, _tiff),
    (b"MM\0*", 0, _tiff),
]
