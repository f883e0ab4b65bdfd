"""Pictures of lines in, text out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import open_backend
from crnn_runtime.card import ModelCard
from crnn_runtime.ctc import (
    Char,
    char_spans,
    check_codes,
    greedy_runs,
    line_confidence,
    raw_path,
)
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

    Raises:
        ModelError: the model cannot be used.
        MissingDependencyError: its library or the device is missing.
    """

    def __init__(
        self,
        model: str | Path,
        device: str | None = None,
        threads: int | None = None,
        *,
        batch_size: int = 16,
    ) -> None:
        for name, value in (("threads", threads), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise CrnnError(f"{name} is {value}: it must be at least 1")
        self._backend = open_backend(model, device, threads)
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
                pieces[number] = cut(load_image(image, self.card.color), self.card)
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
        ids, probs = best_path(outputs)
        steps = [valid_steps(self.card, line.pixels.shape[1]) for line in batch]
        return _to_lines(ids, probs, np.minimum(steps, ids.shape[1]), batch, self.card)


def best_path(outputs: dict[str, NDArray[Any]]) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """Any head's outputs → best class and its probability per step, both (N, T)."""
    if "ids" in outputs:
        return outputs["ids"], outputs["probs"]
    if "topk_ids" in outputs:
        return outputs["topk_ids"][:, :, 0], np.exp(outputs["topk_log_probs"][:, :, 0])
    log_probs = outputs["log_probs"]
    ids = log_probs.argmax(axis=2)
    return ids, np.exp(np.take_along_axis(log_probs, ids[:, :, None], axis=2)[:, :, 0])


def _to_lines(
    ids: NDArray[np.integer],
    probs: NDArray[np.floating],
    steps: NDArray[np.integer],
    batch: Sequence[_Prepared],
    card: ModelCard,
) -> list[Line]:
    """Decode (N, T) best paths and bring positions back to the source images."""
    runs = greedy_runs(ids, probs, steps)
    check_codes(runs.code, card.alphabet)
    bounds = np.searchsorted(runs.line, np.arange(len(batch) + 1))
    lines = []
    for n, source in enumerate(batch):
        own = slice(bounds[n], bounds[n + 1])
        width = source.pixels.shape[1]
        x0, x1 = char_spans(runs.first[own], runs.last[own], card, width)
        to_source = source.source_width / width
        chars = tuple(
            Char(card.alphabet.characters[code - 1], confidence, left, right)
            for code, confidence, left, right in zip(
                runs.code[own].tolist(),
                runs.confidence[own].tolist(),
                (x0 * to_source).tolist(),
                (x1 * to_source).tolist(),
                strict=True,
            )
        )
        scores = runs.confidence[own] if chars else probs[n, : steps[n]]
        lines.append(
            Line(
                text="".join(char.char for char in chars),
                confidence=line_confidence(scores),
                raw=raw_path(ids[n, : steps[n]], card.alphabet),
                chars=chars,
            )
        )
    return lines
