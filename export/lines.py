"""Real lines for the checks of an export: pictures, and what they say where that is known."""

import dataclasses
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn.data.annotations import SUFFIXES
from crnn.data.check import check
from crnn.data.database import is_database
from crnn_runtime.errors import CrnnError, ImageError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.files import iter_paths
from crnn_runtime.picture.load import PlainSource, load_image
from crnn_runtime.picture.preprocess import resize_line, valid_steps

MAX_LINES = 200
_NAMED_DEFECTS = 5

Warn = Callable[[str], object]
"""Told of every line that is left out."""


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines prepared for a model.

    Attributes:
        pixels: arrays (H, w, C) in the model's height and colours.
        texts: what each says; None when the data has no labels.
    """

    pixels: list[NDArray[np.uint8]] = dataclasses.field(default_factory=list)
    texts: list[str] | None = None


def load_lines(data: str, card: ModelCard, *, warn: Warn = lambda _: None) -> Lines:
    """Load up to `MAX_LINES` lines that a model is to be tried on.

    Args:
        data: with labels: an annotation file (see `crnn.data.annotations`) or an LMDB
            folder, of which lines from beginning to end are taken. Without: a
            picture, a folder of pictures or a glob, of which the first are taken.
        card: of the model.
        warn: told what is left out and why.

    Raises:
        CrnnError: no line can be used.
    """
    path = Path(data)
    if is_database(path) or (path.suffix.lower() in SUFFIXES and path.is_file()):
        return _labelled(path, card, warn)
    named = ((image, image) for image in islice(iter_paths((data,)), MAX_LINES))
    pixels, _ = _load(data, named, card, warn)
    return Lines(pixels)


def _labelled(file: Path, card: ModelCard, warn: Warn) -> Lines:
    found = check(file, card, lambda width: valid_steps(card, width))
    for defect in found.defects[:_NAMED_DEFECTS]:
        warn(str(defect))
    if more := len(found.defects[_NAMED_DEFECTS:]):
        warn(f"and {more} more: crnn-train --check names all of a data set")
    if not len(found):
        raise CrnnError(f"{file} has no usable line for this model")
    count = min(MAX_LINES, len(found))
    # From all of the file: annotation files are often sorted.
    chosen = np.linspace(0, len(found) - 1, count).astype(int).tolist()
    pictures = ((found.paths[index], found.picture(index)) for index in chosen)
    pixels, good = _load(str(file), pictures, card, warn)
    texts = [card.alphabet.decode(found.annotations.label(chosen[n]).tolist()) for n in good]
    return Lines(pixels, texts)


def _load(
    data: str, pictures: Iterable[tuple[str, PlainSource]], card: ModelCard, warn: Warn
) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """(name, picture) → pixels of those that can be read, and their numbers."""
    pixels, good = [], []
    reason = "no image there"
    for number, (name, picture) in enumerate(pictures):
        try:
            pixels.append(resize_line(load_image(picture, card.color), card))
            good.append(number)
        except ImageError as error:
            reason = f"{name}: {error}"
            warn(reason)
    if not pixels:
        raise CrnnError(f"{data}: no line can be read ({reason})")
    return pixels, good
