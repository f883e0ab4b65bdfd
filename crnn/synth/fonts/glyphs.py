"""Glyphs as small alpha masks, rendered once and kept."""

import dataclasses
import functools
from collections import OrderedDict

import numpy as np
import numpy.typing as npt
from PIL import ImageFont

from crnn.synth.fonts.faces import Face
from crnn_runtime.errors import CrnnError

Mask = npt.NDArray[np.uint8]

_OVERHEAD = 420  # bytes of a kept glyph besides its pixels, measured


@dataclasses.dataclass(frozen=True, slots=True)
class Glyph:
    """One glyph at one size: its ink and where the ink lies from the pen on the baseline."""

    mask: Mask | None
    left: int
    top: int
    advance: float


class SizedFace:
    """A face opened at one size, with the glyphs drawn so far.

    Args:
        face: the face.
        size: pixels per em.
        aliased: only 0 and 255, fitted to whole pixels.

    Raises:
        CrnnError: FreeType cannot open the file.
    """

    def __init__(self, face: Face, size: int, aliased: bool = False) -> None:
        self.face = face
        self._mode = "1" if aliased else "L"
        self.bytes = self.settled = 0
        self.glyphs: dict[str, Glyph] = {}
        self._kerning: dict[str, float] = {}
        try:
            self._font = ImageFont.truetype(
                face.path, size, index=face.index, layout_engine=ImageFont.Layout.BASIC
            )
            if face.axes:
                self._font.set_variation_by_axes(list(face.axes))
        except OSError as error:
            raise CrnnError(f"font {face.path} is broken: {error}") from error

    def glyph(self, character: str) -> Glyph:
        """The glyph of ``character``; its mask is None when it has no ink."""
        found = self.glyphs.get(character)
        if found is not None:
            return found
        try:
            core, (left, top) = self._font.getmask2(character, self._mode, anchor="ls")
        except OSError as error:
            raise CrnnError(f"font {self.face.path} is broken at {character!r}: {error}") from error
        width, height = core.size
        mask = None
        if width and height:
            mask = np.frombuffer(bytes(core), np.uint8).reshape(height, width)
        glyph = Glyph(mask, int(left), int(top), self._font.getlength(character))
        self.glyphs[character] = glyph
        self.bytes += width * height + _OVERHEAD
        return glyph

    def kerning(self, pair: str) -> float:
        """Pixels by which the second character moves after the first, by the ``kern`` table."""
        found = self._kerning.get(pair)
        if found is None:
            alone = self.glyph(pair[0]).advance + self.glyph(pair[1]).advance
            found = self._font.getlength(pair) - alone
            self._kerning[pair] = found
        return found


class GlyphCache:
    """The faces opened last, with their glyphs, up to about ``capacity`` bytes of glyphs."""

    def __init__(self, capacity: int, faces: int = 800) -> None:
        self._capacity = capacity
        self._most = faces
        self._bytes = 0
        self._open: OrderedDict[tuple[Face, int, bool], SizedFace] = OrderedDict()

    def open(self, face: Face, size: int, aliased: bool = False) -> SizedFace:
        """The face at ``size`` pixels per em.

        Raises:
            CrnnError: FreeType cannot open the file.
        """
        key = (face, size, aliased)
        sized = self._open.get(key)
        if sized is None:
            sized = self._open[key] = SizedFace(face, size, aliased)
        self._open.move_to_end(key)
        # What was drawn since the last call is settled here, not glyph by glyph.
        self._bytes += sized.bytes - sized.settled
        sized.settled = sized.bytes
        while len(self._open) > 1 and (
            len(self._open) > self._most or self._bytes > self._capacity
        ):
            _, old = self._open.popitem(last=False)
            self._bytes -= old.settled
        return sized


@functools.cache
def shared_glyphs(capacity: int) -> GlyphCache:
    """The one cache of a process: a run draws for a dozen presets and sets.

    Args:
        capacity: bytes of glyphs; each has a cache of its own.
    """
    return GlyphCache(capacity)
