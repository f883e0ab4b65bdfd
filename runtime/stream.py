"""Many images → lines, in their order: stages that overlap, in bounded memory.

Three stages run at the same time, each in threads of its own (OpenCV and the
inference libraries release the interpreter's lock):

1. the caller's thread asks the iterable for images and hands out lines;
2. workers decode images, cut them into pieces and scale these, see `Stages.prepare`;
3. two readers take batches of strips of one padded width, so that one batch is laid
   out or decoded while the other is in the model, see `Stages.read`.

Strips wait in one bucket per padded width. A bucket is read when it is full, or when
the model is idle and it is the largest: while the model is busy buckets fill, so its
batches are full where it is what takes the time. When the look-ahead is used up, the
iterable is, or the iterable makes the caller wait, the bucket of the line that has
waited longest comes first: that keeps the order with bounded buffers. So which
lines share a batch depends on timing, what they read does not.

Only the caller's thread keeps the books, so there is nothing to lock, and it can be
stopped anywhere.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic

import numpy as np

from crnn_runtime.line import Line
from crnn_runtime.picture.load import ImageSource
from crnn_runtime.picture.long_lines import Piece
from crnn_runtime.pipeline import Plan, Stages, Strip

_READERS = 2
_CHUNK = 8  # images that a worker takes at once: handing them over costs as much as one
_WAITING = 3 * _CHUNK  # images taken for each worker: enough to keep it busy, few to hold
_QUICK = 0.001  # seconds for an image up to which it is worth while to wait for a chunk
_SLOW = 0.25  # seconds for an image from which on an iterable is slow: a person, a camera
_PATIENCE = 1.0  # seconds: it is asked again when its lines were handed out, or then


@dataclass(slots=True)
class _Entry:
    """An image that was taken from the iterable and whose line was not handed out."""

    held: int  # bytes
    pieces: list[Piece] = field(default_factory=list)
    readings: dict[int, Line] = field(default_factory=dict)
    outcome: Line | BaseException | None = None


_Place = tuple[int, int]  # number of the image, of the piece
_Prepared = list[tuple[int, list[Strip] | Line | BaseException]]
_Batch = tuple[list[tuple[_Place, Strip]], list[Line] | BaseException]


class _InPlace:
    """Runs what is submitted at once, in the caller's thread."""

    def submit(self, function: Callable[..., None], /, *arguments: object) -> None:
        function(*arguments)

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        pass


def read_stream(
    sources: Iterable[ImageSource | None], stages: Stages, plan: Plan
) -> Generator[Line, None, None]:
    """Read images lazily, their lines in order.

    Where the iterable gives None, all lines so far are handed out before it is asked
    again. What an image's stage raises is raised when its turn comes, what the iterable
    raises after the lines of all images before it. Closing the generator stops the
    threads; what is in the model then is finished first.
    """
    workers: ThreadPoolExecutor | _InPlace = _InPlace()
    readers: ThreadPoolExecutor | _InPlace = _InPlace()
    if plan.workers:
        workers = ThreadPoolExecutor(plan.workers, "crnn-prepare")
        readers = ThreadPoolExecutor(_READERS, "crnn-read")
    try:
        yield from _Stream(sources, stages, plan, workers, readers).lines()
    finally:
        workers.shutdown(wait=False, cancel_futures=True)
        readers.shutdown(wait=True, cancel_futures=True)
        workers.shutdown(wait=True)


class _Stream:
    """The books of one stream, kept by the thread that iterates."""

    def __init__(
        self,
        sources: Iterable[ImageSource | None],
        stages: Stages,
        plan: Plan,
        workers: ThreadPoolExecutor | _InPlace,
        readers: ThreadPoolExecutor | _InPlace,
    ) -> None:
        self._sources = iter(sources)
        self._end: Exception | bool = False  # of the sources: reached, or what they raised
        self._stages = stages
        self._plan = plan
        self._workers = workers
        self._readers = readers
        self._done: SimpleQueue[_Prepared | _Batch] = SimpleQueue()
        self._entries: deque[_Entry] = deque()
        self._handed_out = 0  # lines; the number of the first entry
        self._buckets: dict[int, list[tuple[_Place, Strip]]] = {}
        self._held = 0  # bytes
        self._chunk: list[tuple[int, ImageSource]] = []  # taken, not yet given to a worker
        self._preparing = 0  # images, those included
        self._reading = 0  # batches
        self._ask_at = 0.0  # when a slow iterable is asked again

    def lines(self) -> Generator[Line, None, None]:
        while True:
            self._collect(wait=0)
            if not self._reading and self._plan.workers:
                self._submit_largest()
            if self._entries and self._entries[0].outcome is not None:
                if not self._ask_at:
                    self._take_all()
                yield self._hand_out()
            elif self._may_take():
                patience = self._ask_at - monotonic() if self._ask_at else 0
                if patience > 0 and self._entries:
                    self._keep_busy()
                    self._collect(wait=None if patience == math.inf else patience)
                else:
                    self._take()
            elif self._entries:
                self._keep_busy()
                self._collect(wait=None)
            elif isinstance(self._end, Exception):
                raise self._end
            else:
                return

    def _may_take(self) -> bool:
        return (
            not self._end
            and len(self._entries) < self._plan.look_ahead
            and self._held < self._plan.max_bytes
            and self._preparing < max(1, self._plan.workers * _WAITING)
        )

    def _take_all(self) -> None:
        while self._may_take() and not self._ask_at:
            self._take()

    def _take(self) -> None:
        """Ask the iterable for an image and have it prepared."""
        asked = monotonic()
        try:
            source = next(self._sources)
        except StopIteration:
            self._end = True
            return
        except Exception as error:
            self._end = error
            return
        if source is None:
            self._ask_at = math.inf
            return
        now = monotonic()
        took = now - asked
        self._ask_at = now + _PATIENCE if took > _SLOW else 0.0
        number = self._handed_out + len(self._entries)
        self._entries.append(_Entry(_size(source)))
        self._held += self._entries[-1].held
        idle = not self._preparing
        self._preparing += 1
        self._chunk.append((number, source))
        if idle or took > _QUICK or len(self._chunk) >= _CHUNK:
            self._submit_chunk()

    def _submit_chunk(self) -> None:
        if self._chunk:
            self._workers.submit(self._prepare, self._chunk)
            self._chunk = []

    def _prepare(self, chunk: list[tuple[int, ImageSource]]) -> None:
        """In a worker."""
        prepared: _Prepared = []
        for number, source in chunk:
            try:
                prepared.append((number, self._stages.prepare(source)))
            except BaseException as error:
                prepared.append((number, error))
        self._done.put(prepared)

    def _read(self, batch: list[tuple[_Place, Strip]]) -> None:
        """In a reader."""
        try:
            self._done.put((batch, self._stages.read([strip for _, strip in batch])))
        except BaseException as error:
            self._done.put((batch, error))

    def _collect(self, wait: float | None) -> None:
        """Enter what the stages have done; wait for it up to so many seconds, None for ever."""
        if wait != 0:
            self._submit_chunk()
        try:
            done = self._done.get(timeout=wait) if wait != 0 else self._done.get_nowait()
            while True:
                if isinstance(done, list):
                    for prepared in done:
                        self._enter_prepared(*prepared)
                else:
                    self._enter_read(*done)
                done = self._done.get_nowait()
        except Empty:
            pass

    def _enter_prepared(self, number: int, result: list[Strip] | Line | BaseException) -> None:
        self._preparing -= 1
        entry = self._entries[number - self._handed_out]
        self._hold(entry, -entry.held)
        if not isinstance(result, list):
            entry.outcome = result
            return
        entry.pieces = [strip.piece for strip in result]
        for part, strip in enumerate(result):
            self._hold(entry, strip.pixels.nbytes)
            bucket = self._buckets.setdefault(strip.bucket, [])
            bucket.append(((number, part), strip))
            if len(bucket) >= self._plan.batch(strip.bucket):
                self._submit(strip.bucket)

    def _enter_read(
        self, batch: list[tuple[_Place, Strip]], result: list[Line] | BaseException
    ) -> None:
        self._reading -= 1
        for index, ((number, part), strip) in enumerate(batch):
            entry = self._entries[number - self._handed_out]
            self._hold(entry, -strip.pixels.nbytes)
            if isinstance(result, BaseException):
                entry.outcome = result
                continue
            entry.readings[part] = result[index]
            if len(entry.readings) == len(entry.pieces):
                readings = [entry.readings[part] for part in range(len(entry.pieces))]
                entry.outcome = self._stages.join(entry.pieces, readings)

    def _keep_busy(self) -> None:
        """Nothing more is coming: read buckets that are not full, the oldest first."""
        while self._buckets and not self._preparing and self._reading < _READERS:
            self._submit(min(self._buckets, key=lambda width: self._buckets[width][0][0]))

    def _submit_largest(self) -> None:
        """The model is idle: read the bucket that keeps it busy longest."""
        if self._buckets:
            self._submit(max(self._buckets, key=lambda width: width * len(self._buckets[width])))

    def _submit(self, bucket: int) -> None:
        self._reading += 1
        self._readers.submit(self._read, self._buckets.pop(bucket))

    def _hold(self, entry: _Entry, change: int) -> None:
        entry.held += change
        self._held += change

    def _hand_out(self) -> Line:
        entry = self._entries.popleft()
        self._handed_out += 1
        if isinstance(entry.outcome, BaseException):
            raise entry.outcome
        assert entry.outcome is not None
        return entry.outcome


def _size(source: ImageSource) -> int:
    """Bytes that an image takes before it is prepared: none if it is a path."""
    if isinstance(source, np.ndarray):
        return source.nbytes
    return len(source) if isinstance(source, bytes | bytearray | memoryview) else 0
