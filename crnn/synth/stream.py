"""Encoded lines in order, drawn by several processes."""

import dataclasses
import multiprocessing
import signal
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import cv2

from crnn.synth.engine import Synthesizer
from crnn.workers import interrupts_held
from crnn_runtime.errors import CrnnError

CHUNK = 64
"""Lines that a worker draws at a time; writers commit at these bounds."""

_QUALITY = 95
_synthesizer: Synthesizer | None = None


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


def _start(synthesizer: Synthesizer) -> None:
    global _synthesizer  # noqa: PLW0603 - the one state of a worker process
    # For Windows: elsewhere `interrupts_held` has blocked it already.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    _synthesizer = synthesizer


def _work(indices: range) -> list[Encoded]:
    assert _synthesizer is not None
    return encode(_synthesizer, indices)


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
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(synthesizer,))
    waiting: deque[Future[list[Encoded]]] = deque()
    try:
        for indices in ranges:
            with interrupts_held():  # submitting starts the workers
                waiting.append(pool.submit(_work, indices))
            # Enough ahead that no worker idles, few enough that memory stays bounded.
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise CrnnError("a worker was killed, perhaps for memory: use fewer --workers") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
