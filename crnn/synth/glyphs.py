"""Glyphs as small alpha masks, cached, and their layout on one line."""

import dataclasses
from collections import OrderedDict

import numpy as np
import numpy.typing as npt
from PIL import ImageFont

from crnn.synth.fonts import Face
from crnn_runtime.errors import CrnnError

Mask = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, slots=True)
class Glyph:
    """One glyph at one size: its ink and where the ink lies from the pen on the baseline."""

    mask: Mask | None
    left: int
    top: int
    advance: float


class GlyphCache:
    """Renders glyphs and keeps the latest ``capacity`` bytes of them."""

    def __init__(self, capacity: int = 64 << 20, fonts: int = 64) -> None:
        self._capacity = capacity
        self._max_fonts = fonts
        self._bytes = 0
        self._glyphs: OrderedDict[tuple[Face, int, str], Glyph] = OrderedDict()
        self._fonts: OrderedDict[tuple[Face, int], ImageFont.FreeTypeFont] = OrderedDict()

    def font(self, face: Face, size: int) -> ImageFont.FreeTypeFont:
        """The face opened at ``size`` pixels per em.

        Raises:
            CrnnError: FreeType cannot open it.
        """
        key = (face, size)
        if font := self._fonts.get(key):
            self._fonts.move_to_end(key)
            return font
        try:
            font = ImageFont.truetype(
                face.path, size, index=face.index, layout_engine=ImageFont.Layout.BASIC
            )
            if face.axes:
                font.set_variation_by_axes(list(face.axes))
        except OSError as error:
            raise CrnnError(f"font {face.path} is broken: {error}") from error
        self._fonts[key] = font
        if len(self._fonts) > self._max_fonts:
            self._fonts.popitem(last=False)
        return font

    def glyph(self, face: Face, size: int, character: str) -> Glyph:
        """The glyph of ``character``; its mask is None when it has no ink."""
        key = (face, size, character)
        if found := self._glyphs.get(key):
            self._glyphs.move_to_end(key)
            return found
        font = self.font(face, size)
        try:
            core, (left, top) = font.getmask2(character, "L", anchor="ls")
        except OSError as error:
            raise CrnnError(f"font {face.path} is broken at {character!r}: {error}") from error
        width, height = core.size
        mask = None
        if width and height:
            mask = np.frombuffer(bytes(core), np.uint8).reshape(height, width)
        glyph = Glyph(mask, left, top, font.getlength(character))
        self._glyphs[key] = glyph
        self._bytes += width * height + 500
        while self._bytes > self._capacity:
            _, old = self._glyphs.popitem(last=False)
            self._bytes -= 500 + (0 if old.mask is None else old.mask.size)
        return glyph
