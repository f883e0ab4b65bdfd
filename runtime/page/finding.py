"""Pages are decoded and their lines found, a few pages ahead of those that are read."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ImageError, ModelError
from crnn_runtime.page.boxes import Box
from crnn_runtime.page.detect import Detector
from crnn_runtime.picture.load import PlainSource, load_page

_AHEAD = 2  # pages whose lines are found before those of the first are read


@dataclass(frozen=True, slots=True)
class Found:
    """A page whose lines were found, or why they were not."""

    source: PlainSource
    image: NDArray[np.uint8] | None = None
    reduction: int = 1
    boxes: Sequence[Box] = ()
    error: Exception | None = None


def _find(source: PlainSource, detector: Detector) -> Found:
    """In a thread of its own."""
    try:
        image, reduction = load_page(source)
        return Found(source, image, reduction, detector.detect(image))
    except (ImageError, ModelError, MemoryError) as error:
        return Found(source, error=error)


class Finder:
    """Pages that are looked at ahead of their turn."""

    def __init__(
        self,
        sources: Iterator[PlainSource],
        pool: ThreadPoolExecutor,
        detector: Detector,
    ) -> None:
        self._sources = sources
        self._pool = pool
        self._detector = detector
        self._coming: deque[Future[Found]] = deque()
        self._ended = False

    def is_ready(self) -> bool:
        """Whether `next` gives a page, or that there is none, without waiting."""
        self._fill()
        return not self._coming or self._coming[0].done()

    def next(self) -> Found | None:
        """The next page; None if there is none."""
        self._fill()
        if not self._coming:
            return None
        found = self._coming.popleft().result()
        self._fill()
        return found

    def stop(self) -> None:
        """Look at no more pages."""
        self._ended = True
        for future in self._coming:
            future.cancel()

    def _fill(self) -> None:
        while not self._ended and len(self._coming) < _AHEAD:
            try:
                source = next(self._sources)
            except StopIteration:
                self._ended = True
                return
            self._coming.append(self._pool.submit(_find, source, self._detector))
