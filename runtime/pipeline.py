"""A line's way from a picture's bytes to text: prepare → infer → decode → join.

`Pipeline` has one method for each step, in the order in which a line passes them.
`Pipeline.read` takes one picture through all of them. `crnn_runtime.stream` takes
many, several steps at the same time; it decides when a step is done, never what.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import Backend
from crnn_runtime.decode.lattice import Outputs
from crnn_runtime.decode.reading import Decoder, Reading
from crnn_runtime.errors import ImageError, ModelError
from crnn_runtime.line import Char, Line
from crnn_runtime.long_lines import join
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import PlainSource, load_line
from crnn_runtime.picture.preprocess import (
    Piece,
    cut,
    padded_width,
    resize_line,
    to_input,
    valid_steps,
)
from crnn_runtime.picture.rotate import rotated
from crnn_runtime.picture.sources import Channels, ImageSource, plain
from crnn_runtime.turning import Turn, Turns, first_way

BLANK_SIGN = "-"
"""The sign for the blank in `Line.raw`; for the eye only, the alphabet may hold it too."""
UNREADABLE = (ImageError, MemoryError)
"""Errors that concern one picture and leave the others as they are."""
AUTO_COLUMNS = {"cpu": 4096, "gpu": 32_768}
"""Width in pixels of all lines that are inferred together, if the batch size is ``auto``.

On a CPU the time of a column hardly depends on the batch: `lite` is within 10 % of its
best from 1,000 columns on, more columns only take more memory. The figure for GPUs is
an estimate: 64 lines of 512 pixels.
"""
AUTO_LINES = 64
"""Lines that are inferred together at most then."""
_NOT_NUMBERS = "the model gave values that are not numbers"

Errors = Literal["raise", "return"]
"""For an image that cannot be read: raise `ImageError`, or return a `Line` with its error."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A piece of a line as the model will see it.

    Attributes:
        piece: what it shows of the source image.
        pixels: (H, w, C), H the model's height.
        steps: time steps that lie within it.
        bucket: width that it is padded to.
        turned: degrees, clockwise, by which the picture was turned.
    """

    piece: Piece
    pixels: NDArray[np.uint8]
    steps: int
    bucket: int
    turned: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The steps of reading, for one model. They may be called from several threads.

    Attributes:
        backend: runs the model.
        decoder: turns its outputs into text.
        errors: whether a line that cannot be read raises or becomes a `Line` with an error.
        batch_size: strips of one bucket that are inferred together at most; ``auto`` is
            as many as make `AUTO_COLUMNS`, `AUTO_LINES` at most.
        on_gpu: whether the model runs on a GPU.
        turn: whether a picture that is read without confidence is read again, turned.
        channels: order of the colours in arrays.
    """

    backend: Backend
    decoder: Decoder
    errors: Errors
    batch_size: int | Literal["auto"] = "auto"
    on_gpu: bool = False
    turn: Turn | None = None
    channels: Channels = "rgb"

    def batch(self, bucket: int) -> int:
        """Returns how many strips of a bucket are inferred together at most."""
        if self.batch_size != "auto":
            return self.batch_size
        columns = AUTO_COLUMNS["gpu" if self.on_gpu else "cpu"]
        return min(AUTO_LINES, max(1, columns // bucket))

    def read(self, source: ImageSource) -> Line:
        """One picture → its line, all in the caller's thread."""
        given = self.take(source)
        line, pieces = self._read(given, 0)
        if not self.turn:
            return line
        turns = Turns()
        while (turned := turns.enter(line, pieces)) is not None:
            line, pieces = self._read(given, turned)
        return turns.result

    def _read(self, source: PlainSource, turned: int) -> tuple[Line, Sequence[Piece]]:
        strips = self.prepare(source, turned)
        if isinstance(strips, Line):
            return strips, ()
        lines: list[Line] = []
        for bucket, group in groupby(strips, key=lambda strip: strip.bucket):
            alike, most = list(group), self.batch(bucket)
            for start in range(0, len(alike), most):
                part = alike[start : start + most]
                lines += self.decode(self.infer(self.to_input(part)), part)
        pieces = [strip.piece for strip in strips]
        return self.join(pieces, lines), pieces

    def take(self, source: ImageSource) -> PlainSource:
        """A picture as it is given → as it is passed on: open files are read here."""
        return source if isinstance(source, str | Path | bytes) else plain(source, self.channels)

    def prepare(self, source: PlainSource, turned: int = 0) -> list[Strip] | Line:
        """A picture → its strips from left to right, or a line that holds the error.

        Args:
            source: what `take` gave.
            turned: degrees, clockwise, by which it is turned: of what was read as it stands.

        Raises:
            ImageError: the picture cannot be read and `errors` is ``raise``.
        """
        try:
            image, reduction = self.load(source)
            if self.turn:
                turned = turned or first_way(*image.shape[:2])
                image = rotated(image, turned)
            return self.scale(image, reduction, turned)
        except UNREADABLE as error:
            if self.errors == "raise" and not turned:
                raise named(error, source) from error
            return Line.unread(_reason(error))

    def load(self, source: PlainSource) -> tuple[NDArray[np.uint8], int]:
        """A picture → its pixels, and source pixels per pixel: see `load_line`."""
        return load_line(source, self.backend.card)

    def scale(self, image: NDArray[np.uint8], reduction: int, turned: int = 0) -> list[Strip]:
        """Pixels → strips of the model's height: more than one if the line is too wide for it.

        Args:
            image: (H, W) or (H, W, 3), turned already.
            reduction: source pixels per pixel.
            turned: degrees by which it was turned.

        Raises:
            ImageError: no line has this shape, or the decoder needs the line as a whole.
        """
        card = self.backend.card
        height, width = image.shape[:2]
        pieces = cut(height * reduction, width * reduction, card)
        if len(pieces) > 1 and self.decoder.whole_lines:
            raise ImageError(
                f"line needs {len(pieces)} pieces, more than the model reads at once, and a "
                "lexicon holds whole lines: cut out the entry, or read without a lexicon"
            )
        strips = []
        for piece in pieces:
            pixels = resize_line(piece.of(image), card)
            width = pixels.shape[1]
            steps, bucket = valid_steps(card, width), padded_width(card, width)
            strips.append(Strip(piece, pixels, steps, bucket, turned))
        return strips

    def to_input(self, strips: Sequence[Strip]) -> NDArray[np.float32]:
        """Strips of one bucket → the network's input (N, C, H, W)."""
        return to_input([strip.pixels for strip in strips], self.backend.card)

    def infer(self, images: NDArray[np.float32]) -> Outputs:
        """(N, C, H, W) → what the model gives, by name: see `OUTPUT_NAMES`."""
        return self.backend.infer(images)

    def decode(self, outputs: Outputs, strips: Sequence[Strip]) -> list[Line]:
        """Turns the model's outputs for strips into lines, positions in pixels of each strip's
        piece.

        Raises:
            ModelError: values are not numbers and `errors` is ``raise``, or the model
                does not fit its alphabet.
        """
        card = self.backend.card
        steps = np.array([strip.steps for strip in strips])
        bad = _not_numbers(outputs, steps)
        if not bad.any():
            readings = self.decoder.decode(outputs, steps)
            return [_to_line(*pair, card) for pair in zip(readings, strips, strict=True)]
        if self.errors == "raise":
            raise ModelError(f"{_NOT_NUMBERS}: its file is damaged or its precision too low")
        good = {name: values[~bad] for name, values in outputs.items()}
        decoded = iter(self.decoder.decode(good, steps[~bad]) if not bad.all() else ())
        return [
            Line.unread(_NOT_NUMBERS) if spoilt else _to_line(next(decoded), strip, card)
            for spoilt, strip in zip(bad, strips, strict=True)
        ]

    def join(self, pieces: Sequence[Piece], lines: Sequence[Line]) -> Line:
        """Joins the lines of a picture's pieces, from left to right, into one."""
        if failed := next((line for line in lines if line.error), None):
            return failed
        return lines[0] if len(pieces) == 1 else join(pieces, lines, self.backend.card)


def _not_numbers(outputs: Outputs, steps: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Any head's outputs → (N,) whether a line's steps hold NaN or infinity.

    A probability of 0, whose logarithm is minus infinity, is a number.
    """
    bad = np.zeros(len(steps), bool)
    for values in outputs.values():
        if not values.size or not np.issubdtype(values.dtype, np.floating):
            continue
        highest = values.reshape(*values.shape[:2], -1).max(axis=2)  # NaN if there is one
        own = np.arange(values.shape[1]) < steps[:, None]
        bad |= (own & (np.isnan(highest) | np.isposinf(highest))).any(axis=1)
    return bad


def named(error: Exception, source: object) -> ImageError:
    """The error of a picture, with its path if it has one."""
    name = f"{source}: " if isinstance(source, str | Path) else ""
    return ImageError(f"{name}{_reason(error)}")


def char_spans(
    first: NDArray[np.integer], last: NDArray[np.integer], card: ModelCard, strip: Strip
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Runs of time steps → their left and right edges in pixels of the strip's piece.

    Step t stands for the ``time_stride`` pixels of the strip around pixel
    ``time_origin + t · time_stride``; a run covers those of its steps, cut off at the
    strip's ends. Pixel p spans p to p + 1.
    """
    width = strip.pixels.shape[1]
    to_source = strip.piece.width / width
    left = card.time_origin + 0.5 + (first - 0.5) * card.time_stride
    right = card.time_origin + 0.5 + (last + 0.5) * card.time_stride
    return np.clip(left, 0, width) * to_source, np.clip(right, 0, width) * to_source


def raw_path(ids: NDArray[np.integer], alphabet: Alphabet) -> str:
    """The best path of one line, (T,) → one character per step, blanks as `BLANK_SIGN`."""
    return "".join(alphabet.characters[code - 1] if code else BLANK_SIGN for code in ids.tolist())


def _to_line(reading: Reading, strip: Strip, card: ModelCard) -> Line:
    """A reading, in time steps → a line, in pixels of the strip's piece."""
    x0, x1 = char_spans(reading.first, reading.last, card, strip)
    chars = tuple(
        Char(card.alphabet.characters[code - 1], confidence, left, right)
        for code, confidence, left, right in zip(
            reading.codes.tolist(),
            reading.confidences.tolist(),
            x0.tolist(),
            x1.tolist(),
            strict=True,
        )
    )
    return Line(
        text="".join(char.char for char in chars),
        confidence=reading.confidence,
        raw=raw_path(reading.path, card.alphabet),
        chars=chars,
        alternatives=reading.alternatives,
        turned=strip.turned,
    )


def _reason(error: Exception) -> str:
    return "not enough memory" if isinstance(error, MemoryError) else str(error)
