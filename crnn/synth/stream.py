"""Encoded lines in order, drawn by several processes."""

import dataclasses
from collections.abc import Generator

import cv2

from crnn.synth.engine import Synthesizer
from crnn.workers import in_order

CHUNK = 64
"""Lines that a worker draws at a time; writers commit at these bounds."""

_QUALITY = 95


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """Line ``index`` as the bytes of a JPEG file, and what it reads."""

    index: int
    jpeg: bytes
    text: str


def encode(synthesizer: Synthesizer, indices: range) -> list[Encoded]:
    """Draw and compress lines."""
    lines = []
    for index in indices:
        sample = synthesizer.line(index)
        picture = cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR)
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        lines.append(Encoded(index, coded.tobytes(), sample.text))
    return lines


class _Drawing:
    """The work of a worker; it is pickled to each."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        self.synthesizer = synthesizer

    def __call__(self, indices: range) -> list[Encoded]:
        cv2.setNumThreads(1)
        return encode(self.synthesizer, indices)


def encoded_chunks(
    synthesizer: Synthesizer, start: int, stop: int, workers: int
) -> Generator[list[Encoded]]:
    """Lines ``start`` to ``stop`` in order, in chunks; the same for any number of workers.

    Args:
        synthesizer: what to draw; it is pickled to each worker.
        start: first index.
        stop: one past the last.
        workers: processes; 0 and 1 draw in this one.

    Raises:
        CrnnError: a line cannot be drawn, or a worker was killed.
    """
    ranges = (range(at, min(stop, at + CHUNK)) for at in range(start, stop, CHUNK))
    if workers < 2:
        for indices in ranges:
            yield encode(synthesizer, indices)
        return
    yield from in_order(
        _Drawing(synthesizer), ranges, workers=workers, what="draws lines (--workers)",
        method="spawn",
    )  # fmt: skip
