"""Pictures of lines in, text out."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, get_args

import numpy as np

from crnn_runtime.backends import open_backend
from crnn_runtime.cpu import available_cpus
from crnn_runtime.decode.decoding import Decoding, open_decoder
from crnn_runtime.errors import CrnnError
from crnn_runtime.line import Line
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.model_file import find_kind
from crnn_runtime.picture.sources import Channels, ImageSource, PillowImage, ReadableFile, plain
from crnn_runtime.pipeline import Errors, Pipeline
from crnn_runtime.stream import LOOK_AHEAD, LineStream, Pause
from crnn_runtime.turning import Turn

if TYPE_CHECKING:
    from crnn_runtime.inspection import Inspection
    from crnn_runtime.page.detect import Detector
    from crnn_runtime.page.page import Page
    from crnn_runtime.page.reading import Reading

_MAX_WORKERS = 4


class Recognizer:
    """Reads lines of text with an exported model.

    `read` and `stream` may be called from several threads at once.

    Args:
        model: path of an ONNX file or TensorRT engine that ``crnn-export`` wrote, or the
            name of a reader: ``latin``, ``ppocrv6-small``, see ``crnn-infer --list``.
        device: ``cpu`` or ``cuda``; one that is missing is an error. None is ``cpu``
            for ONNX files and ``cuda`` for engines.
        threads: CPU threads, default as many as the process may use.
        batch_size: lines of one padded width that are inferred together at most;
            ``auto`` is as many as make 4,096 columns of pixels (32,768 on a GPU), 64 at most.
        gpu_memory_limit: bytes that ONNX Runtime's arena may take on a GPU; for ONNX
            files on ``cuda`` only.
        decoder: how outputs become text, None for the best path.
        card: of an ONNX file that ``crnn-export`` did not write: a JSON file (see
            docs/foreign.md) or a card; PP-OCR's recognition models need none.
        alphabet: of such a file, where neither it nor its card has one: a dictionary's
            file, or an alphabet.
        turn: ``auto`` reads a picture that is read without confidence once more upside
            down, and one much taller than wide on its sides; the reading with clearly less
            doubt counts, see `Line.turned`. None reads pictures as they stand.
        channels: order of the colours in arrays: ``rgb``, or ``bgr`` as ``cv2.imread``
            gives them.

    Raises:
        ModelError: the model cannot be used.
        MissingDependencyError: its library or the device is missing.
        CrnnError: the decoder needs more than the model gives, or a file of its own; an
            option has a value that it cannot have.
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
        alphabet: str | Path | Alphabet | None = None,
        turn: Turn | None = None,
        channels: Channels = "rgb",
    ) -> None:
        for name, value in (("threads", threads), ("batch_size", batch_size)):
            _check_count(name, value)
        _check_choice("turn", turn, (None, *get_args(Turn)))
        _check_choice("channels", channels, get_args(Channels))
        self._backend = open_backend(
            model,
            device,
            threads,
            gpu_memory_limit=gpu_memory_limit,
            card=card,
            alphabet=alphabet,
        )
        try:
            self._decoder = open_decoder(decoder or Decoding(), self.card)
        except BaseException:
            self._backend.close()
            raise
        self._batch_size = batch_size
        self._turn: Turn | None = turn
        self._channels: Channels = channels
        self._device, self._threads = device, threads
        self._on_gpu = _on_gpu(model, device)
        spare = (threads or available_cpus()) - (not self._on_gpu)  # a CPU's cores run the model
        self._workers = max(1, min(_MAX_WORKERS, spare))

    @property
    def card(self) -> ModelCard:
        """The model card: alphabet, preprocessing, training."""
        return self._backend.card

    def read(
        self, images: Iterable[ImageSource], *, errors: Errors = "raise", overlap: bool = True
    ) -> list[Line]:
        """Read one line of text in each image, in the order given: `stream` as a list.

        ``overlap`` False does all in the caller's thread, which is cheapest where several
        callers or processes keep the processors busy.
        """
        _check_several(images, "read([image])")
        pipeline = self._pipeline(errors)
        first = list(islice(images := iter(images), 2))
        if len(first) < 2:  # there is no other to be decoded beside
            return [pipeline.read(image) for image in first]
        workers = self._workers if overlap else 0
        return list(LineStream(chain(first, images), pipeline, workers=workers).lines())

    def stream(
        self,
        images: Iterable[ImageSource | Pause],
        *,
        errors: Errors = "raise",
        look_ahead: int = LOOK_AHEAD,
    ) -> Generator[Line, None, None]:
        """Read one line of text in each image, lazily, in the order given, in constant memory.

        Images are asked for in the caller's thread and ahead of the lines handed out;
        they are decoded, read, and turned to text in others, see `crnn_runtime.stream`.
        Those end with the iteration, or when the generator is closed.

        A line's reading does not depend on its neighbours: it is padded to a
        width that depends on itself alone. A line wider than the model reads is
        read in overlapping pieces, see `Line.pieces`.

        Args:
            images: paths, encoded bytes, files opened in binary mode (read to their end
                when it is their turn), images of Pillow's, or arrays (H, W) or RGB
                (H, W, 3), which must not change before their lines are handed out.
            errors: for an image that cannot be read, ``raise`` when its turn comes, or
                ``return`` a `Line` whose `Line.error` says why; the others are read all
                the same.
            look_ahead: images taken before the line of the first is handed out, at most:
                the more, the fuller the batches of mixed widths.

        Raises:
            ImageError: an image cannot be read and ``errors`` is ``raise``.
            ModelError: what the model gave is not numbers and ``errors`` is ``raise``,
                or the recognizer was closed.
            CrnnError: one image is given instead of several.
        """
        _check_several(images, "stream([image])")
        if look_ahead < 1:
            raise CrnnError(f"look_ahead is {look_ahead}: it must be at least 1")
        pipeline = self._pipeline(errors)
        return LineStream(images, pipeline, workers=self._workers, look_ahead=look_ahead).lines()

    def inspect(self, image: ImageSource, *, nbest: int = 5) -> "Inspection":
        """Read one line and give, beside it, what the model gave and how long it took.

        Args:
            image: see `stream`.
            nbest: alternatives to search for, where the model's head allows it.

        Raises:
            ImageError: the image cannot be read.
            ModelError: what the model gave is not numbers, or the recognizer was closed.
            CrnnError: ``nbest`` is negative.
        """
        from crnn_runtime.inspection import inspect_line  # noqa: PLC0415 (readers need it not)

        return inspect_line(image, self._pipeline("raise"), nbest)

    def read_page(
        self,
        image: ImageSource,
        *,
        detector: "Detector | str | Path | None" = None,
        options: "Reading | None" = None,
    ) -> "Page":
        """Find the lines of a page and read them: see `read_pages`."""
        _check_one(image, "read_pages([image])")
        with closing(self.read_pages([image], detector=detector, options=options)) as pages:
            return next(pages)

    def read_pages(
        self,
        images: Iterable[ImageSource],
        *,
        detector: "Detector | str | Path | None" = None,
        errors: Errors = "raise",
        options: "Reading | None" = None,
    ) -> Generator["Page", None, None]:
        """Find the lines of pages and read them, lazily, in the order given.

        Args:
            images: see `stream`; those of pages.
            detector: what finds lines: a `crnn_runtime.page.detect.Detector`, a file, or the
                name of a known one; None is the first known one that is installed. A file
                or name is opened for this call, with this recognizer's device and threads.
            errors: for a page that cannot be read, ``raise`` when its turn comes, or
                ``return`` a `Page` whose `Page.error` says why.
            options: how lines are read, see `crnn_runtime.page.reading.Reading`.

        Raises:
            ImageError: a page cannot be read and ``errors`` is ``raise``.
            ModelError: the detector cannot be used, or what it gave is not numbers and
                ``errors`` is ``raise``.
            MissingDependencyError: the detector is not installed.
            CrnnError: one image is given instead of several.
        """
        _check_several(images, "read_pages([image])")
        _check_choice("errors", errors, get_args(Errors))
        return self._read_pages(images, detector, errors, options)

    def _read_pages(
        self,
        images: Iterable[ImageSource],
        detector: "Detector | str | Path | None",
        errors: Errors,
        options: "Reading | None",
    ) -> Generator["Page", None, None]:
        from crnn_runtime.page.detect import Detector  # noqa: PLC0415 (lines need it not)
        from crnn_runtime.page.reading import read_pages  # noqa: PLC0415

        sources = (plain(image, self._channels) for image in images)
        if isinstance(detector, Detector):
            yield from read_pages(sources, self._read_crops, detector, errors, options)
            return
        with Detector(detector, self._device, self._threads) as opened:
            yield from read_pages(sources, self._read_crops, opened, errors, options)

    def close(self) -> None:
        """Release the model; nothing can be read from then on."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_crops(self, images: Iterable[ImageSource | Pause]) -> Generator[Line, None, None]:
        """Lines of pages, RGB, as they stand: whoever cuts them out turns them."""
        pipeline = replace(self._pipeline("return"), turn=None, channels="rgb")
        return LineStream(images, pipeline, workers=self._workers).lines()

    def _pipeline(self, errors: Errors) -> Pipeline:
        _check_choice("errors", errors, get_args(Errors))
        return Pipeline(
            backend=self._backend,
            decoder=self._decoder,
            errors=errors,
            batch_size=self._batch_size,
            on_gpu=self._on_gpu,
            turn=self._turn,
            channels=self._channels,
        )


def _check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    if value not in choices:
        raise CrnnError(f"{name} is {value!r}: it must be {' or '.join(map(str, choices))}")


def _check_one(image: object, call: str) -> None:
    if isinstance(image, list | tuple):
        raise CrnnError(f"read_page() takes one image: for several, {call}")


def _check_count(name: str, value: object) -> None:
    if value is None or (name == "batch_size" and value == "auto"):
        return
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        other = " or auto" if name == "batch_size" else ""
        raise CrnnError(f"{name} is {value!r}: it must be a whole number{other}")
    if value < 1:
        raise CrnnError(f"{name} is {value}: it must be at least 1")


def _check_several(images: object, call: str) -> None:
    one = str | Path | bytes | bytearray | memoryview | np.ndarray | ReadableFile | PillowImage
    if isinstance(images, one):
        raise CrnnError(f"{call.partition('(')[0]}() takes a list of images: {call}")


def _on_gpu(model: str | Path, device: str | None) -> bool:
    if device is not None:
        return device != "cpu"
    return find_kind(model)[1] == "engine"
