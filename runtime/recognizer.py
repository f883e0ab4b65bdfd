"""Pictures of lines in, text out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import open_backend
from crnn_runtime.card import ModelCard
from crnn_runtime.ctc import Char, char_spans, raw_path
from crnn_runtime.decoding import Decoding, Reading, open_decoder
from crnn_runtime.errors import CrnnError, ImageError
from crnn_runtime.image import ImageSource, load_image
from crnn_runtime.line import Line
from crnn_runtime.long_lines import Piece, cut, join
from crnn_runtime.preprocess import padded_width, resize_line, to_input, valid_steps


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A piece of a line, ready to be batched with others of its padded width."""

    key: tuple[int, int]  # image, piece
    pixels: NDArray[np.uint8]  # (H, w, C)
    source_width: int


class Recognizer:
    """Reads lines of text with an exported model.

    `read` may be called from several threads at once.

    Args:
        model: path of an ONNX file or TensorRT engine that ``crnn-export`` wrote.
        device: ``cpu`` or ``cuda``; one that is missing is an error. None is ``cpu``
            for ONNX files and ``cuda`` for engines.
        threads: CPU threads, default as many as the process may use.
        batch_size: lines of one width bucket that are inferred together at most.
        gpu_memory_limit: bytes that ONNX Runtime's arena may take on a GPU; for ONNX
            files on ``cuda`` only.
        decoder: how outputs become text, None for the best path.
        card: of an ONNX file that ``crnn-export`` did not write: a JSON file (see
            docs/foreign.md) or a card; PP-OCR's recognition models need none.

    Raises:
        ModelError: the model cannot be used.
        MissingDependencyError: its library or the device is missing.
        CrnnError: the decoder needs more than the model gives, or a file of its own.
    """

    def __init__(
        self,
        model: str | Path,
        device: str | None = None,
        threads: int | None = None,
        *,
        batch_size: int = 16,
        decoder: Decoding | None = None,
        gpu_memory_limit: int | None = None,
        card: str | Path | ModelCard | None = None,
    ) -> None:
        for name, value in (("threads", threads), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise CrnnError(f"{name} is {value}: it must be at least 1")
        self._backend = open_backend(
            model, device, threads, gpu_memory_limit=gpu_memory_limit, card=card
        )
        self._decoder = open_decoder(decoder or Decoding(), self.card)
        self._backend.activate()
        self._batch_size = batch_size

    @property
    def card(self) -> ModelCard:
        """What the model is: alphabet, preprocessing, training."""
        return self._backend.card

    def read(
        self, images: Iterable[ImageSource], *, errors: Literal["raise", "return"] = "raise"
    ) -> list[Line]:
        """Read one line of text in each image, in the order given.

        A line's reading does not depend on its neighbours: it is padded to a
        width that depends on itself alone. A line wider than the model reads is
        read in overlapping pieces, see `Line.pieces`.

        Args:
            images: paths, encoded bytes, or arrays (H, W) or RGB (H, W, 3).
            errors: for an image that cannot be read, ``raise`` or ``return`` a
                `Line` whose `Line.error` says why; the others are read all the same.

        Raises:
            ImageError: an image cannot be read and ``errors`` is ``raise``.
            CrnnError: one image is given instead of several.
        """
        if isinstance(images, str | Path | bytes | np.ndarray):
            raise CrnnError("read() takes a list of images: read([image])")
        lines: dict[int, Line] = {}
        pieces: dict[int, list[Piece]] = {}
        buckets: dict[int, list[_Prepared]] = {}
        for number, image in enumerate(images):
            try:
                pieces[number] = self._cut(image)
            except ImageError as error:
                if errors == "raise":
                    name = f"{image}: " if isinstance(image, str | Path) else ""
                    raise ImageError(f"{name}{error}") from error
                lines[number] = Line("", 0.0, "", (), str(error))
                continue
            for part, piece in enumerate(pieces[number]):
                pixels = resize_line(piece.image, self.card)
                prepared = _Prepared((number, part), pixels, piece.image.shape[1])
                buckets.setdefault(padded_width(self.card, pixels.shape[1]), []).append(prepared)
        read = self._read_buckets(buckets)
        for number, own in pieces.items():
            readings = [read[number, part] for part in range(len(own))]
            lines[number] = join(own, readings, self.card)
        return [lines[number] for number in range(len(lines))]

    def close(self) -> None:
        """Release the model."""
        self._backend.deactivate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _cut(self, image: ImageSource) -> list[Piece]:
        """Load an image and cut it into pieces that the model can read."""
        pieces = cut(load_image(image, self.card.color), self.card)
        if len(pieces) > 1 and self._decoder.whole_lines:
            raise ImageError(
                f"line needs {len(pieces)} pieces, more than the model reads at once, and a "
                "lexicon holds whole lines: cut out the entry, or read without a lexicon"
            )
        return pieces

    def _read_buckets(self, buckets: dict[int, list[_Prepared]]) -> dict[tuple[int, int], Line]:
        """Read every piece, batched with others of its padded width."""
        read = {}
        for _, bucket in sorted(buckets.items()):
            for start in range(0, len(bucket), self._batch_size):
                batch = bucket[start : start + self._batch_size]
                for prepared, line in zip(batch, self._read_batch(batch), strict=True):
                    read[prepared.key] = line
        return read

    def _read_batch(self, batch: Sequence[_Prepared]) -> list[Line]:
        """Lines of one padded width → what they say."""
        outputs = self._backend.infer(to_input([line.pixels for line in batch], self.card))
        steps = [valid_steps(self.card, line.pixels.shape[1]) for line in batch]
        readings = self._decoder.decode(outputs, np.array(steps))
        return [_to_line(*pair, self.card) for pair in zip(readings, batch, strict=True)]


def _to_line(reading: Reading, source: _Prepared, card: ModelCard) -> Line:
    """A reading in time steps → a line, positions in pixels of the source image."""
    width = source.pixels.shape[1]
    x0, x1 = char_spans(reading.first, reading.last, card, width)
    to_source = source.source_width / width
    chars = tuple(
        Char(card.alphabet.characters[code - 1], confidence, left, right)
        for code, confidence, left, right in zip(
            reading.codes.tolist(),
            reading.confidences.tolist(),
            (x0 * to_source).tolist(),
            (x1 * to_source).tolist(),
            strict=True,
        )
    )
    return Line(
        text="".join(char.char for char in chars),
        confidence=reading.confidence,
        raw=raw_path(reading.path, card.alphabet),
        chars=chars,
        alternatives=reading.alternatives,
    )
