"""Reads the code points that a font maps to a glyph, straight from its ``cmap`` table.

The library that parses fonts otherwise names every glyph first, which takes
seconds for a shelf of Chinese fonts. Formats 4 and 12 (OpenType specification,
"cmap — Character to Glyph Index Mapping Table") are those that fonts use for
Unicode.
"""

import struct

import numpy as np
import numpy.typing as npt
from fontTools.ttLib import TTFont, TTLibError

Codes = npt.NDArray[np.int64]
_PREFERRED = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3), (0, 2), (0, 1), (0, 0))


def read_codes(font: TTFont) -> tuple[Codes, Codes]:
    """Code points with a glyph, ascending, and the number of each one's glyph.

    Raises:
        TTLibError: there is no Unicode table.
        struct.error, ValueError, IndexError: the table is damaged.
    """
    data = font.reader["cmap"]
    (count,) = struct.unpack_from(">2xH", data)
    offsets = {}
    for number in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", data, 4 + 8 * number)
        offsets[platform, encoding] = offset
    for kind in _PREFERRED:
        if kind not in offsets:
            continue
        table = data[offsets[kind] :]
        (form,) = struct.unpack_from(">H", table)
        if form == 12:
            return _present(*_format12(table))
        if form == 4:
            return _present(*_format4(table))
    mapped = font.getBestCmap()
    if not mapped:
        raise TTLibError("it maps no Unicode character")
    codes = np.array(sorted(mapped), np.int64)
    return codes, np.array([font.getGlyphID(mapped[int(code)]) for code in codes], np.int64)


def _present(codes: Codes, glyphs: Codes) -> tuple[Codes, Codes]:
    kept = glyphs > 0  # glyph 0 is the box of a missing character
    if not kept.any():
        raise TTLibError("it maps no Unicode character")
    return codes[kept], glyphs[kept]


def _format12(table: bytes) -> tuple[Codes, Codes]:
    (groups,) = struct.unpack_from(">12xI", table)
    first, last, glyph = (
        np.frombuffer(table, ">u4", groups * 3, 16).reshape(-1, 3).T.astype(np.int64)
    )
    sizes = last - first + 1
    if (sizes < 1).any() or sizes.sum() > 0x110000:
        raise ValueError("a damaged cmap table")
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(first, sizes) + within, np.repeat(glyph, sizes) + within


def _format4(table: bytes) -> tuple[Codes, Codes]:
    (doubled,) = struct.unpack_from(">6xH", table)
    segments = doubled // 2
    words = np.frombuffer(table, ">u2", len(table) // 2).astype(np.int64)
    last = words[7 : 7 + segments]
    first, delta, reach = (words[8 + k * segments : 8 + (k + 1) * segments] for k in (1, 2, 3))
    sizes = np.maximum(0, last - first + 1)
    segment = np.repeat(np.arange(segments), sizes)
    codes = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + first[segment]
    # A segment's glyphs follow from the code, or stand in the array after the table.
    at = 8 + 3 * segments + segment + reach[segment] // 2 + codes - first[segment]
    direct = reach[segment] == 0
    listed = words[np.where(direct | (at >= len(words)), 0, at)]
    listed = np.where(direct | (at >= len(words)) | (listed == 0), 0, listed + delta[segment])
    glyphs = np.where(direct, codes + delta[segment], listed) & 0xFFFF
    return codes, np.where(codes == 0xFFFF, 0, glyphs)
