"""The worst lines of a validation as one picture: the line, what is written, what was read."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from crnn.data.sources import Source
from crnn.metrics import worst
from crnn.synth.fonts.faces import Face, load_faces
from crnn.synth.fonts.files import find_fonts
from crnn.training.inputs import write_lines
from crnn.training.reading import Reading
from crnn_runtime.errors import CrnnError, ImageError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.card import ColorOrder

SHOWN = 20
"""Lines of a picture at most."""

_WIDTH = 960
_TEXT = 20  # pixels of height of the letters
_ROW = 28
_GAP = 8
_LEFT = 64  # where the texts begin, right of their headings
_WRONG = "#ffb3b3"  # behind a character that the other text does not have
_GREY = "#777777"


class WorstLine(NamedTuple):
    """A line that was read wrongly.

    Attributes:
        where: it comes from.
        pixels: (H, W, C) uint8, None if it cannot be shown.
        truth: what is written on it.
        read: what was read.
    """

    where: str
    pixels: NDArray[np.uint8] | None
    truth: str
    read: str


def draw_worst(lines: Sequence[WorstLine], color: ColorOrder) -> Image.Image:
    """One picture of all lines, one below the other; wrong characters have a red ground.

    A character that no installed font has is drawn as a box with its code point.

    Args:
        lines: what to show.
        color: channels of their pixels.
    """
    strips = [_strip(line, color) for line in lines] or [Image.new("RGB", (_WIDTH, _ROW), "white")]
    page = Image.new("RGB", (_WIDTH, sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height
    return page


def save_worst(
    directory: Path, name: str, source: Source, reading: Reading, color: ColorOrder
) -> Image.Image:
    """Write the worst lines of a reading as ``worst-NAME.tsv`` and ``worst-NAME.png``.

    Args:
        directory: where to.
        name: of the set.
        source: the set.
        reading: what was read on it.
        color: channels of its lines.

    Returns:
        The picture.

    Raises:
        CrnnError: a file cannot be written.
    """
    lines = []
    for number in worst(reading.truths, reading.texts, SHOWN):
        index = reading.indices[number]
        try:
            pixels = source.line(index, np.random.default_rng(0)).pixels
        except ImageError:  # it was there a moment ago
            pixels = None
        where = source.where(index)
        lines.append(WorstLine(where, pixels, reading.truths[number], reading.texts[number]))
    stem = "worst-" + re.sub(r"[^\w.-]+", "-", name).strip("-")
    rows = [f"{line.where}\t{line.truth}\t{line.read}" for line in lines]
    write_lines(directory / f"{stem}.tsv", ["line\ttruth\tread", *rows])
    page = draw_worst(lines, color)
    write_atomically(directory / f"{stem}.png", lambda part: page.save(part, "PNG"))
    return page


def _strip(line: WorstLine, color: ColorOrder) -> Image.Image:
    picture = _picture(line.pixels, color)
    strip = Image.new("RGB", (_WIDTH, picture.height + 3 * _ROW + 2 * _GAP), "white")
    draw = ImageDraw.Draw(strip)
    strip.paste(picture, (_GAP, _GAP))
    missed, invented = _wrong(line.truth, line.read)
    top = picture.height + _GAP + 4
    for heading, text, wrong in (("truth", line.truth, missed), ("read", line.read, invented)):
        draw.text((_GAP, top + 4), heading, _GREY, _plain(_TEXT - 6))
        if not text:
            draw.text((_LEFT, top + 4), "(nothing)", _GREY, _plain(_TEXT - 6))
        _write(draw, (_LEFT, top), text, wrong)
        top += _ROW
    edits = Levenshtein.distance(line.truth, line.read)
    where = f"{edits} edit{'s' * (edits != 1)}   {line.where}"
    _write(draw, (_GAP, top), where, set(), size=_TEXT - 7, ink=_GREY)
    draw.line((0, strip.height - 1, _WIDTH, strip.height - 1), "#dddddd")
    return strip


def _picture(pixels: NDArray[np.uint8] | None, color: ColorOrder) -> Image.Image:
    """As Pillow has it, made smaller if it is wider than the page."""
    if pixels is None:
        return Image.new("RGB", (_LEFT, _ROW), "#dddddd")
    if color == "bgr":
        pixels = np.ascontiguousarray(pixels[:, :, ::-1])
    height, width = pixels.shape[:2]
    if width > _WIDTH - 2 * _GAP:
        size = (_WIDTH - 2 * _GAP, max(1, round(height * (_WIDTH - 2 * _GAP) / width)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Image.fromarray(pixels.squeeze(2) if pixels.shape[2:] == (1,) else pixels)


def _wrong(truth: str, read: str) -> tuple[set[int], set[int]]:
    """Places in either text that the best alignment finds no match for."""
    missed, invented = set(), set()
    for edit in Levenshtein.editops(truth, read):
        if edit.tag != "insert":
            missed.add(edit.src_pos)
        if edit.tag != "delete":
            invented.add(edit.dest_pos)
    return missed, invented


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    wrong: set[int],
    *,
    size: int = _TEXT,
    ink: str = "black",
) -> None:
    """Write character by character, each in the plainest font that has it."""
    x, y = float(place[0]), place[1]
    for position, character in enumerate(text):
        font = _font(character, size)
        width = size * 0.8 if font is None else font.getlength(character)
        if x + width > _WIDTH - _GAP - size:  # room for the ellipsis
            draw.text((x, y), "…", ink, _plain(size))
            return
        if position in wrong:
            draw.rectangle((x, y, x + width, y + size + 4), _WRONG)
        if font is None:
            _box(draw, (x, y), character, size)
        else:
            draw.text((x, y + size), character, ink, font, anchor="ls")
        x += width


def _box(draw: ImageDraw.ImageDraw, place: tuple[float, float], character: str, size: int) -> None:
    """A frame with the code point in it, in two rows of small digits."""
    x, y = place
    draw.rectangle((x + 1, y + 2, x + size * 0.8 - 2, y + size + 2), None, _GREY)
    code = f"{ord(character):04X}"
    half = (len(code) + 1) // 2
    for row, digits in enumerate((code[:half], code[half:])):
        draw.text((x + 3, y + 3 + row * size * 0.45), digits, _GREY, _plain(max(6, size * 2 // 5)))


@functools.lru_cache(maxsize=4096)
def _font(character: str, size: int) -> ImageFont.FreeTypeFont | None:
    if character.isascii():
        return _plain(size)
    for face in _faces():
        if face.covers(character):
            return _open(face, size)
    return None


@functools.lru_cache(maxsize=64)
def _open(face: Face, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(face.path, size, index=face.index)


@functools.cache
def _plain(size: int) -> ImageFont.FreeTypeFont:
    """For ASCII, which the first face has; Pillow's own where no font is installed."""
    for face in _faces():
        if face.covers("Aa0~"):
            return _open(face, size)
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels bring FreeType"
    return font


@functools.cache
def _faces() -> list[Face]:
    """All installed faces, plain ones first; none where there is no font."""
    try:
        faces = load_faces(find_fonts())
    except CrnnError:
        return []
    return sorted(faces, key=lambda face: (face.kind != "sans", face.style != "Regular", face.path))
