"""Contact sheets: lines of a preset with their labels, to look at."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from crnn.synth.engine import Sample, Synthesizer
from crnn.synth.fonts.faces import Face
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically

_WIDTH = 1200
_LABEL = 18  # pixels of height of a label
_GAP = 8


def draw_sheet(synthesizers: Sequence[Synthesizer], count: int, path: Path) -> None:
    """Write a picture, ``.png`` or ``.jpg``, of lines of each synthesiser and what they read.

    Args:
        synthesizers: drawn one below the other.
        count: lines of each, from the first.
        path: the file to write.

    Raises:
        CrnnError: another suffix, a line cannot be drawn, or the file not be written.
    """
    forms = {".png": "PNG", ".jpg": "JPEG"}
    if path.suffix not in forms:
        raise CrnnError(f"sheet {path}: end it in .png or .jpg")
    strips = [strip for one in synthesizers for strip in _strips(one, count)]
    height = sum(strip.height for strip in strips)
    page = Image.new("RGB", (_WIDTH, height), "white")
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height
    write_atomically(path, lambda part: page.save(part, forms[path.suffix], quality=85))


def _strips(synthesizer: Synthesizer, count: int) -> list[Image.Image]:
    title = Image.new("RGB", (_WIDTH, _LABEL + 2 * _GAP), "white")
    heading = f"{synthesizer.name}: {synthesizer.preset.summary}"
    faces = synthesizer.fonts.faces
    ImageDraw.Draw(title).text((_GAP, _GAP), heading, "black", _font(faces, heading))
    strips, row, used = [title], list[Sample](), _GAP
    for index in range(count):
        sample = _fit(synthesizer.line(index))
        if row and used + sample.image.shape[1] + _GAP > _WIDTH:
            strips.append(_strip(row, faces))
            row, used = [], _GAP
        row.append(sample)
        used += max(sample.image.shape[1], 40) + _GAP
    strips.append(_strip(row, faces))
    return strips


def _fit(sample: Sample) -> Sample:
    """A line wider than the sheet made smaller."""
    height, width, _ = sample.image.shape
    widest = _WIDTH - 2 * _GAP
    if width <= widest:
        return sample
    size = (widest, max(1, round(height * widest / width)))
    small = cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA)
    return dataclasses.replace(sample, image=np.asarray(small, np.uint8))


def _strip(row: Sequence[Sample], faces: Sequence[Face]) -> Image.Image:
    tallest = max(sample.image.shape[0] for sample in row)
    strip = Image.new("RGB", (_WIDTH, tallest + _LABEL + _GAP), "white")
    draw = ImageDraw.Draw(strip)
    left = _GAP
    for sample in row:
        width = max(sample.image.shape[1], 40)
        strip.paste(Image.fromarray(sample.image), (left, 0))
        label = Image.new("RGB", (width, _LABEL), "white")
        ImageDraw.Draw(label).text((0, 1), sample.text, "#404040", _font(faces, sample.text))
        strip.paste(label, (left, sample.image.shape[0] + 1))
        left += width + _GAP
    draw.line((0, strip.height - 1, _WIDTH, strip.height - 1), "#eeeeee")
    return strip


def _font(faces: Sequence[Face], text: str) -> ImageFont.FreeTypeFont:
    """The plainest face that has every character of ``text``."""

    def plainness(face: Face) -> tuple[bool, bool, bool, str]:
        return (not face.covers(text), face.kind != "sans", face.style != "Regular", face.path)

    face = min(faces, key=plainness)
    return ImageFont.truetype(face.path, _LABEL - 6, index=face.index)
