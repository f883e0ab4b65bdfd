"""Pictures of lines in, text out."""

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import BACKENDS, Backend, open_backend
from crnn_runtime.cpu import available_cpus
from crnn_runtime.decode.ctc import char_spans, raw_path
from crnn_runtime.decode.decoding import Decoder, Decoding, Reading, open_decoder
from crnn_runtime.decode.lattice import not_numbers
from crnn_runtime.errors import CrnnError, ImageError, ModelError
from crnn_runtime.line import Char, Line
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import ImageSource
from crnn_runtime.picture.long_lines import Piece, cut, join
from crnn_runtime.picture.preprocess import (
    load_line,
    padded_width,
    resize_line,
    to_input,
    valid_steps,
)
from crnn_runtime.pipeline import LOOK_AHEAD, Plan, Strip
from crnn_runtime.stream import read_stream

if TYPE_CHECKING:
    from crnn_runtime.inspection import Inspection

AUTO_COLUMNS = {"cpu": 4096, "gpu": 32_768}
"""Width in pixels of all lines that are inferred together, if `batch_size` is ``auto``.

On a CPU the time of a column hardly depends on the batch: `lite` is within 10 % of its
best from 1,000 columns on, more columns only take more memory. The figure for GPUs is
an estimate: 64 lines of 512 pixels.
"""
AUTO_LINES = 64
"""Lines that are inferred together at most then."""
_MAX_WORKERS = 4
_NOT_NUMBERS = "the model gave values that are not numbers"

Errors = Literal["raise", "return"]
"""For an image that cannot be read: raise `ImageError`, or return a `Line` with its error."""
Load = Callable[[ImageSource, ModelCard], tuple[NDArray[np.uint8], int]]
"""An image → its pixels and source pixels per pixel, as `load_line` does it."""


class Recognizer:
    """Reads lines of text with an exported model.

    `read` and `stream` may be called from several threads at once.

    Args:
        model: path of an ONNX file or TensorRT engine that ``crnn-export`` wrote.
        device: ``cpu`` or ``cuda``; one that is missing is an error. None is ``cpu``
            for ONNX files and ``cuda`` for engines.
        threads: CPU threads, default as many as the process may use.
        batch_size: lines of one padded width that are inferred together at most;
            ``auto`` is as many as make `AUTO_COLUMNS`, 64 at most.
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
        batch_size: int | Literal["auto"] = "auto",
        decoder: Decoding | None = None,
        gpu_memory_limit: int | None = None,
        card: str | Path | ModelCard | None = None,
    ) -> None:
        for name, value in (("threads", threads), ("batch_size", batch_size)):
            _check_count(name, value)
        self._backend = open_backend(
            model, device, threads, gpu_memory_limit=gpu_memory_limit, card=card
        )
        try:
            self._decoder = open_decoder(decoder or Decoding(), self.card)
        except BaseException:
            self._backend.close()
            raise
        on_gpu = _on_gpu(model, device)
        self._batch = _batch_sizes(batch_size, AUTO_COLUMNS["gpu" if on_gpu else "cpu"])
        spare = (threads or available_cpus()) - (not on_gpu)  # a CPU's cores run the model
        self._workers = max(1, min(_MAX_WORKERS, spare))

    @property
    def card(self) -> ModelCard:
        """What the model is: alphabet, preprocessing, training."""
        return self._backend.card

    def read(
        self, images: Iterable[ImageSource], *, errors: Errors = "raise", overlap: bool = True
    ) -> list[Line]:
        """Read one line of text in each image, in the order given: `stream` as a list.

        ``overlap`` False does all in the caller's thread, which is cheapest where several
        callers or processes keep the processors busy.
        """
        _check_several(images, "read([image])")
        first = list(islice(images := iter(images), 2))
        # One image has no other to be decoded beside: threads would only cost time.
        workers = self._workers if overlap and len(first) > 1 else 0
        return list(self._stream(chain(first, images), errors, LOOK_AHEAD, workers))

    def stream(
        self,
        images: Iterable[ImageSource | None],
        *,
        errors: Errors = "raise",
        look_ahead: int = LOOK_AHEAD,
        load: Load = load_line,
    ) -> Generator[Line, None, None]:
        """Read one line of text in each image, lazily, in the order given, in constant memory.

        Images are asked for in the caller's thread and ahead of the lines handed out;
        they are decoded, read, and turned to text in others, see `crnn_runtime.stream`.
        Those end with the iteration, or when the generator is closed.

        A line's reading does not depend on its neighbours: it is padded to a
        width that depends on itself alone. A line wider than the model reads is
        read in overlapping pieces, see `Line.pieces`.

        Args:
            images: paths, encoded bytes, or arrays (H, W) or RGB (H, W, 3), which must
                not change before their lines are handed out. None, which has no line,
                says that the next may take long: all before it are handed out first.
            errors: for an image that cannot be read, ``raise`` when its turn comes, or
                ``return`` a `Line` whose `Line.error` says why; the others are read all
                the same.
            look_ahead: images taken before the line of the first is handed out, at most:
                the more, the fuller the batches of mixed widths.
            load: in place of `crnn_runtime.picture.preprocess.load_line`, to fetch images in
                threads or to watch them being decoded; it may be called by several at once.

        Raises:
            ImageError: an image cannot be read and ``errors`` is ``raise``.
            ModelError: what the model gave is not numbers and ``errors`` is ``raise``.
            CrnnError: one image is given instead of several.
        """
        _check_several(images, "stream([image])")
        if look_ahead < 1:
            raise CrnnError(f"look_ahead is {look_ahead}: it must be at least 1")
        return self._stream(images, errors, look_ahead, self._workers, load)

    def inspect(self, image: ImageSource, *, nbest: int = 5) -> "Inspection":
        """Read one line and give, beside it, what the model gave and how long it took.

        Args:
            image: see `stream`.
            nbest: alternatives to search for, where the model's head allows it.

        Raises:
            ImageError: the image cannot be read.
            ModelError: what the model gave is not numbers.
            CrnnError: ``nbest`` is negative.
        """
        from crnn_runtime.inspection import inspect_line  # noqa: PLC0415 (readers need it not)

        def stages(backend: Backend, load: Load) -> _Stages:
            return _Stages(backend, self._decoder, "raise", load)

        return inspect_line(image, self._backend, stages, nbest)

    def close(self) -> None:
        """Release the model."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _stream(
        self,
        images: Iterable[ImageSource | None],
        errors: Errors,
        look_ahead: int,
        workers: int,
        load: Load = load_line,
    ) -> Generator[Line, None, None]:
        if errors not in ("raise", "return"):
            raise CrnnError(f"errors is {errors!r}: it must be raise or return")
        plan = Plan(batch=self._batch, look_ahead=look_ahead, workers=workers)
        return read_stream(images, _Stages(self._backend, self._decoder, errors, load), plan)


class _Stages:
    """What a stream does with a model; see `crnn_runtime.pipeline.Stages`."""

    def __init__(self, backend: Backend, decoder: Decoder, errors: Errors, load: Load) -> None:
        self._backend = backend
        self._card = backend.card
        self._decoder = decoder
        self._errors = errors
        self._load = load
        self._in_model = threading.Lock()

    def prepare(self, source: ImageSource) -> list[Strip] | Line:
        """An image, loaded and cut into pieces that the model can read."""
        try:
            return self._strips(source)
        except (ImageError, MemoryError) as error:
            reason = "not enough memory" if isinstance(error, MemoryError) else str(error)
            if self._errors == "raise":
                name = f"{source}: " if isinstance(source, str | Path) else ""
                raise ImageError(f"{name}{reason}") from error
            return Line("", 0.0, "", (), reason)

    def read(self, strips: Sequence[Strip]) -> list[Line]:
        """Strips of one padded width → what they say."""
        images = to_input([strip.pixels for strip in strips], self._card)
        with self._in_model:  # two at a time would only take twice the memory
            outputs = self._backend.infer(images)
        steps = np.array([valid_steps(self._card, strip.pixels.shape[1]) for strip in strips])
        bad = not_numbers(outputs, steps)
        if not bad.any():
            readings = self._decoder.decode(outputs, steps)
            return [_to_line(*pair, self._card) for pair in zip(readings, strips, strict=True)]
        if self._errors == "raise":
            raise ModelError(f"{_NOT_NUMBERS}: its file is damaged or its precision too low")
        good = {name: values[~bad] for name, values in outputs.items()}
        decoded = iter(self._decoder.decode(good, steps[~bad]) if not bad.all() else ())
        return [
            Line("", 0.0, "", (), _NOT_NUMBERS)
            if spoilt
            else _to_line(next(decoded), strip, self._card)
            for spoilt, strip in zip(bad, strips, strict=True)
        ]

    def join(self, pieces: Sequence[Piece], readings: Sequence[Line]) -> Line:
        """See `crnn_runtime.picture.long_lines.join`."""
        if failed := next((line for line in readings if line.error), None):
            return failed
        return join(pieces, readings, self._card)

    def _strips(self, source: ImageSource) -> list[Strip]:
        image, reduction = self._load(source, self._card)
        height, width = image.shape[:2]
        pieces = cut(height * reduction, width * reduction, self._card)
        if len(pieces) > 1 and self._decoder.whole_lines:
            raise ImageError(
                f"line needs {len(pieces)} pieces, more than the model reads at once, and a "
                "lexicon holds whole lines: cut out the entry, or read without a lexicon"
            )
        scaled = [resize_line(piece.of(image), self._card) for piece in pieces]
        return [
            Strip(piece, pixels, padded_width(self._card, pixels.shape[1]))
            for piece, pixels in zip(pieces, scaled, strict=True)
        ]


def _check_count(name: str, value: object) -> None:
    if value is None or (name == "batch_size" and value == "auto"):
        return
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        other = " or auto" if name == "batch_size" else ""
        raise CrnnError(f"{name} is {value!r}: it must be a whole number{other}")
    if value < 1:
        raise CrnnError(f"{name} is {value}: it must be at least 1")


def _check_several(images: Iterable[ImageSource | None], call: str) -> None:
    if isinstance(images, str | Path | bytes | bytearray | memoryview | np.ndarray):
        raise CrnnError(f"{call.partition('(')[0]}() takes a list of images: {call}")


def _on_gpu(model: str | Path, device: str | None) -> bool:
    if device is not None:
        return device != "cpu"
    suffix = Path(model).suffix.lower()
    return suffix in BACKENDS and suffix != ".onnx"


def _batch_sizes(batch_size: int | Literal["auto"], columns: int) -> Callable[[int], int]:
    """Padded width → lines that are inferred together at most."""
    if batch_size == "auto":
        return lambda width: min(AUTO_LINES, max(1, columns // width))
    return lambda _: batch_size


def _to_line(reading: Reading, source: Strip, card: ModelCard) -> Line:
    """A reading in time steps → a line, positions in pixels of the source image."""
    width = source.pixels.shape[1]
    x0, x1 = char_spans(reading.first, reading.last, card, width)
    to_source = source.piece.width / width
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
