"""Many pictures → lines, in their order: steps that overlap, in bounded memory.

This module decides when a step is done; `crnn_runtime.pipeline` says what it does.
Three kinds of threads work at the same time (OpenCV and the inference libraries
release the interpreter's lock):

1. The caller's thread asks the iterable for pictures and hands out lines.
2. Workers prepare pictures: they decode, cut and scale them to strips.
3. Two readers take batches of strips of one padded width. While one batch is in the
   model, the other is laid out or decoded.

Strips wait in one bucket per padded width. A full bucket is read at once. If the model
is idle, the largest bucket is read: while the model is busy buckets fill, so its batches
are full where the model is what takes the time. If the look-ahead is full, the iterable
is exhausted or the iterable is slow, the bucket with the oldest line is read next, which
keeps the order with bounded buffers. So timing decides which lines share a batch, and
never what they read.

Only the caller's thread keeps the books, so there is nothing to lock, and it can be
stopped anywhere.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

import numpy as np

from crnn_runtime.line import Line
from crnn_runtime.picture.load import PlainSource
from crnn_runtime.picture.preprocess import Piece
from crnn_runtime.picture.sources import ImageSource
from crnn_runtime.pipeline import Pipeline, Strip
from crnn_runtime.turning import Turns

LOOK_AHEAD = 256
"""Pictures that are taken from the iterable before the first line is handed out, at most."""
MAX_BYTES = 64_000_000
"""Size of the pictures and strips that wait, at most: then no further picture is taken."""


class Pause:
    """In place of a picture, says that the next may take long; it has no line."""


PAUSE: Final = Pause()

_READERS = 2
_CHUNK = 8  # pictures that a worker takes at once: handing them over costs as much as one
_WAITING = 3 * _CHUNK  # pictures taken for each worker: enough to keep it busy, few to hold
_QUICK = 0.001  # seconds for a picture up to which it is worth while to wait for a chunk
SLOW = 0.25  # seconds for a picture from which on an iterable is slow: a person, a camera
PATIENCE = 1.0  # seconds: it is asked again when its lines were handed out, or then


@dataclass(slots=True)
class _Entry:
    """A picture that was taken from the iterable and whose line was not handed out."""

    source: PlainSource | None  # until it is certain that it is not read again
    held: int  # bytes
    turns: Turns = field(default_factory=Turns)
    pieces: list[Piece] = field(default_factory=list)
    lines: dict[int, Line] = field(default_factory=dict)  # of the pieces that were read
    outcome: Line | BaseException | None = None


_Place = tuple[int, int]  # number of the picture, of the piece
_Task = tuple[int, PlainSource, int]  # number of the picture, and how it is turned
_Prepared = list[tuple[int, list[Strip] | Line | BaseException]]
_Batch = tuple[list[tuple[_Place, Strip]], list[Line] | BaseException]


class _InPlace:
    """Runs what is submitted at once, in the caller's thread."""

    def submit(self, function: Callable[..., None], /, *arguments: object) -> None:
        function(*arguments)

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        pass


class LineStream:
    """Reads pictures lazily and hands out their lines in order: see `lines`.

    Args:
        sources: the pictures. At a `Pause`, all lines so far are handed out before the
            iterable is asked again.
        pipeline: what is done to them.
        workers: threads that prepare pictures; with 0 everything is done in the
            caller's thread, which is quickest where there is nothing to overlap.
        look_ahead: see `LOOK_AHEAD`.
        max_bytes: see `MAX_BYTES`.
    """

    def __init__(
        self,
        sources: Iterable[ImageSource | Pause],
        pipeline: Pipeline,
        *,
        workers: int,
        look_ahead: int = LOOK_AHEAD,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._sources = iter(sources)
        self._end: Exception | bool = False  # of the sources: reached, or what they raised
        self._pipeline = pipeline
        self._workers = workers
        self._look_ahead = look_ahead
        self._max_bytes = max_bytes
        self._to_worker: ThreadPoolExecutor | _InPlace = _InPlace()
        self._to_reader: ThreadPoolExecutor | _InPlace = _InPlace()
        self._in_model = threading.Lock()
        self._done: SimpleQueue[_Prepared | _Batch] = SimpleQueue()
        self._entries: deque[_Entry] = deque()
        self._handed_out = 0  # lines; the number of the first entry
        self._buckets: dict[int, list[tuple[_Place, Strip]]] = {}
        self._held = 0  # bytes
        self._chunk: list[_Task] = []  # taken, not yet given to a worker
        self._preparing = 0  # pictures, those included
        self._reading = 0  # batches
        self._ask_at = 0.0  # when a slow iterable is asked again

    def lines(self) -> Generator[Line, None, None]:
        """The lines, once.

        An error of a picture is raised when its turn comes, an error of the iterable
        after the lines of all pictures before it. Closing the generator stops the
        threads; what is in the model then is finished first.
        """
        if self._workers:
            self._to_worker = ThreadPoolExecutor(self._workers, "crnn-prepare")
            self._to_reader = ThreadPoolExecutor(_READERS, "crnn-read")
        try:
            while self._entries or not self._end:
                yield from self._next_step()
        finally:
            self._to_worker.shutdown(wait=False, cancel_futures=True)
            self._to_reader.shutdown(wait=True, cancel_futures=True)
            self._to_worker.shutdown(wait=True)
        if isinstance(self._end, Exception):
            raise self._end

    def _next_step(self) -> Iterator[Line]:
        """Do what is most urgent: hand out the next line, take a picture, or wait."""
        self._collect(wait=0)
        if not self._reading and self._workers:
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
        else:
            self._keep_busy()
            self._collect(wait=None)

    def _may_take(self) -> bool:
        return (
            not self._end
            and len(self._entries) < self._look_ahead
            and self._held < self._max_bytes
            and self._preparing < max(1, self._workers * _WAITING)
        )

    def _take_all(self) -> None:
        while self._may_take() and not self._ask_at:
            self._take()

    def _take(self) -> None:
        """Ask the iterable for a picture and have it prepared."""
        asked = monotonic()
        try:
            given = next(self._sources)
        except StopIteration:
            self._end = True
            return
        except Exception as error:
            self._end = error
            return
        if isinstance(given, Pause):
            self._ask_at = math.inf
            return
        source = self._pipeline.take(given)
        now = monotonic()
        took = now - asked
        self._ask_at = now + PATIENCE if took > SLOW else 0.0
        number = self._handed_out + len(self._entries)
        self._entries.append(_Entry(source, _size(source)))
        self._held += self._entries[-1].held
        idle = not self._preparing
        self._have_prepared(number, source)
        if idle or took > _QUICK or len(self._chunk) >= _CHUNK:
            self._submit_chunk()

    def _have_prepared(self, number: int, source: PlainSource, turned: int = 0) -> None:
        self._preparing += 1
        self._chunk.append((number, source, turned))

    def _submit_chunk(self) -> None:
        if self._chunk:
            self._to_worker.submit(self._prepare, self._chunk)
            self._chunk = []

    def _prepare(self, chunk: list[_Task]) -> None:
        """In a worker."""
        prepared: _Prepared = []
        for number, source, turned in chunk:
            try:
                prepared.append((number, self._pipeline.prepare(source, turned)))
            except BaseException as error:
                prepared.append((number, error))
        self._done.put(prepared)

    def _read(self, batch: list[tuple[_Place, Strip]]) -> None:
        """In a reader."""
        try:
            strips = [strip for _, strip in batch]
            images = self._pipeline.to_input(strips)
            with self._in_model:  # two at a time would only take twice the memory
                outputs = self._pipeline.infer(images)
            self._done.put((batch, self._pipeline.decode(outputs, strips)))
        except BaseException as error:
            self._done.put((batch, error))

    def _collect(self, wait: float | None) -> None:
        """Enter what was done; wait for it up to so many seconds, None for ever."""
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
        if not self._pipeline.turn:
            self._release(entry)
        entry.pieces, entry.lines = [], {}
        if not isinstance(result, list):
            self._settle(number, entry, result)
            return
        entry.pieces = [strip.piece for strip in result]
        for part, strip in enumerate(result):
            self._hold(entry, strip.pixels.nbytes)
            bucket = self._buckets.setdefault(strip.bucket, [])
            bucket.append(((number, part), strip))
            if len(bucket) >= self._pipeline.batch(strip.bucket):
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
            entry.lines[part] = result[index]
            if len(entry.lines) == len(entry.pieces):
                lines = [entry.lines[part] for part in range(len(entry.pieces))]
                self._settle(number, entry, self._pipeline.join(entry.pieces, lines))

    def _settle(self, number: int, entry: _Entry, result: Line | BaseException) -> None:
        """A picture is read: hand its line out, or read it once more, turned."""
        if isinstance(result, BaseException) or not self._pipeline.turn:
            entry.outcome = result
        elif (turned := entry.turns.enter(result, entry.pieces)) is None:
            entry.outcome = entry.turns.result
        else:
            assert entry.source is not None
            self._have_prepared(number, entry.source, turned)
            return
        self._release(entry)

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
        self._to_reader.submit(self._read, self._buckets.pop(bucket))

    def _release(self, entry: _Entry) -> None:
        """Let go of the picture itself."""
        if entry.source is not None:
            self._hold(entry, -_size(entry.source))
            entry.source = None

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


def _size(source: PlainSource) -> int:
    """Bytes that a picture takes before it is prepared: none if it is a path."""
    if isinstance(source, np.ndarray | memoryview):
        return source.nbytes
    return len(source) if isinstance(source, bytes | bytearray) else 0
