"""Sources of lines: anything that gives line ``index`` as pixels and codes."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn.data.check import DataSet
from crnn.synth import Synthesizer
from crnn_runtime.errors import CrnnError, ImageError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import load_image
from crnn_runtime.picture.preprocess import resize_line

Augment = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
"""A picture (H, W) or (H, W, 3) and randomness → another picture of the same text."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One line, ready for `to_input`.

    Attributes:
        pixels: (card.height, w, C) uint8.
        codes: of the characters.
        centers: x of the middle of each character in pixels of `pixels`; None if
            nobody knows, as on a photograph.
    """

    pixels: NDArray[np.uint8]
    codes: Sequence[int]
    centers: NDArray[np.float32] | None = None


class Source(Protocol):
    """Random access to lines; workers and ranks share nothing but indices.

    Attributes:
        name: for messages.
        widths: int32, width in pixels of each line at the reader's height; None
            if only drawing the line tells.
        endless: index ``len(source)`` and beyond give further, new lines.
    """

    name: str
    widths: NDArray[np.int32] | None
    endless: bool

    def __len__(self) -> int: ...

    def where(self, index: int) -> str:
        """Returns the place that line ``index`` comes from, for a person to look it up."""
        ...

    def line(self, index: int, rng: np.random.Generator) -> Line:
        """Line ``index``; ``rng`` is for augmentation.

        Raises:
            ImageError: the line cannot be read.
        """
        ...


class AnnotatedLines:
    """The lines of a checked annotation file.

    Args:
        data: what `crnn.data.check.check` found usable.
        card: how lines are prepared.
        augment: applied to the picture before it is scaled.
    """

    endless = False

    def __init__(self, data: DataSet, card: ModelCard, augment: Augment | None = None) -> None:
        self.name = str(data.annotations.file)
        self.data = data
        self.card = card
        self.augment = augment
        self.widths: NDArray[np.int32] | None = data.widths

    def __len__(self) -> int:
        return len(self.data)

    def digest(self) -> str:
        """Returns the number of lines, and a hash of the texts written on them."""
        codes = hashlib.sha256(self.data.annotations.codes.tobytes())
        codes.update(self.data.annotations.offsets.tobytes())
        return f"{len(self)} lines, {codes.hexdigest()[:16]}"

    def where(self, index: int) -> str:
        """``train.txt:17: images/a.jpg``."""
        return f"{self.name}:{self.data.annotations.numbers[index]}: {self.data.paths[index]}"

    def line(self, index: int, rng: np.random.Generator) -> Line:
        """Read one picture."""
        try:
            image = load_image(self.data.picture(index), self.card.color)
            if self.augment is not None:
                image = self.augment(image, rng)
            pixels = resize_line(image, self.card)
        except ImageError as error:
            raise ImageError(f"{self.where(index)}: {error}") from error
        return Line(pixels, self.data.annotations.label(index).tolist())


class SyntheticLines:
    """Lines of a synthesiser: any number, none ever drawn twice.

    Args:
        synthesizer: draws line ``i``.
        card: how lines are prepared; its alphabet must hold what is drawn.
        count: lines that make an epoch.
    """

    endless = True
    widths: NDArray[np.int32] | None = None

    def __init__(self, synthesizer: Synthesizer, card: ModelCard, count: int) -> None:
        self.name = f"synthetic {synthesizer.name}"
        self.synthesizer = synthesizer
        self.card = card
        self.count = count
        self._color = {"gray": cv2.COLOR_RGB2GRAY, "bgr": cv2.COLOR_RGB2BGR}.get(card.color)

    def __len__(self) -> int:
        return self.count

    def where(self, index: int) -> str:
        """``synthetic digits, seed 3, line 17``."""
        return f"{self.name}, seed {self.synthesizer.seed}, line {index}"

    def line(self, index: int, rng: np.random.Generator) -> Line:
        """Draw one line."""
        sample = self.synthesizer.line(index)
        image = sample.image
        if self._color is not None:
            image = np.asarray(cv2.cvtColor(image, self._color), np.uint8)
        alphabet = self.card.alphabet
        entries = alphabet.split(sample.text)
        try:
            codes = [alphabet.codes[entry] for entry in entries]
        except KeyError as error:
            raise CrnnError(
                f"{self.name} lines hold {error.args[0]!r}, which is not in the alphabet "
                f"({len(alphabet)} characters): give a matching --alphabet"
            ) from error
        pixels = resize_line(image, self.card)
        scale = np.float32(pixels.shape[1] / image.shape[1])
        return Line(pixels, codes, _middles(sample.boxes, entries) * scale)


def _middles(boxes: NDArray[np.float32], entries: Sequence[str]) -> NDArray[np.float32]:
    """x of the middle of each entry, from the boxes (left, top, right, bottom) of code points."""
    lengths = np.array([len(entry) for entry in entries], np.int64)
    starts = np.cumsum(lengths) - lengths
    left = np.minimum.reduceat(boxes[:, 0], starts)
    right = np.maximum.reduceat(boxes[:, 2], starts)
    middles: NDArray[np.float32] = ((left + right) / 2).astype(np.float32)
    return middles
