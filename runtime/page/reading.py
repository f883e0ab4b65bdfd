"""Read pages: the lines of the next pages are found while those of the first are read.

`finding` decodes pages and finds their lines in a thread of its own, a few pages ahead. The
lines of all pages run through one stream of the reader's, so that its batches are full
across pages; while the next page's lines are still being looked for, those that are there
are read.

A detector does not tell a line from one that stands on its head. So a line that is read
without confidence is read again the other way round, and the surer reading counts; if most
of a page turns out to stand on its head, the rest of it is tried, too.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import CrnnError, ImageError, ModelError
from crnn_runtime.line import Char, Line
from crnn_runtime.page.boxes import Box, Polygon
from crnn_runtime.page.crops import crop, lengthened, turned
from crnn_runtime.page.detect import Detector
from crnn_runtime.page.finding import Finder, Found
from crnn_runtime.page.order import reading_order
from crnn_runtime.page.page import Page, PageLine
from crnn_runtime.picture.load import PlainSource
from crnn_runtime.picture.sources import ImageSource
from crnn_runtime.pipeline import Errors, named
from crnn_runtime.stream import PAUSE, Pause

LEAST_CONFIDENCE = 0.5
"""Lines that are read with less are taken for specks and pictures, and left out."""
_SURE = 0.95  # confidence from which a line is not read the other way round
_UPRIGHT_MOST = 3.0  # height over width up to which a tall rectangle may hold one character
_ENDS = 0.2  # heights of a line that are added at its ends before it is cut out
_OPEN = 4  # pages that are held in memory while their lines are read
_NO_LINE = ImageError("no line on this page")  # keeps a page's place among lines


ReadLines = Callable[[Iterable[ImageSource | Pause]], Generator[Line, None, None]]
"""Reads a line in each RGB picture, in order and as it stands; errors are lines, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Options for reading the lines of pages.

    Attributes:
        least: lines with less confidence are left out, and empty ones; 0 keeps all that the
            detector found.
        upright: every line is taken to stand as its rectangle does: nothing is read the
            other way round.
        crops: each line comes with its picture, see `PageLine.crop`.

    Raises:
        CrnnError: a value is out of its range.
    """

    least: float = LEAST_CONFIDENCE
    upright: bool = False
    crops: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise CrnnError(f"least confidence is {self.least}: it must be from 0 to 1")


def read_pages(
    sources: Iterable[PlainSource],
    read_lines: ReadLines,
    detector: Detector,
    errors: Errors = "raise",
    options: Reading | None = None,
) -> Generator[Page, None, None]:
    """Read pages lazily, in the order given, in bounded memory.

    Args:
        sources: paths, encoded bytes, or arrays (H, W) or RGB (H, W, 3), which must not
            change before their pages are handed out.
        read_lines: see `ReadLines`.
        detector: finds them.
        errors: for a page that cannot be read, ``raise`` when its turn comes, or ``return``
            a `Page` whose `Page.error` says why; the others are read all the same.
        options: how lines are read.

    Raises:
        ImageError: a page cannot be read and ``errors`` is ``raise``.
        ModelError: what the detector gave is not numbers and ``errors`` is ``raise``.
    """
    with ThreadPoolExecutor(1, "crnn-detect") as pool:
        found = Finder(iter(sources), pool, detector)
        try:
            yield from _Books(found, read_lines, errors, options or Reading()).pages()
        finally:
            found.stop()


@dataclass(slots=True)
class _Slot:
    """A line of a page that is being read."""

    box: Box
    ways: list[Polygon]  # still to be tried
    polygon: Polygon
    best: Line | None = None
    flipped: bool = False


@dataclass(slots=True)
class _Open:
    """A page that was taken and not handed out."""

    found: Found
    slots: list[_Slot] = field(default_factory=list)
    pending: int = 0
    voted: bool = False


_Trial = tuple[_Open, _Slot | None, Polygon | None]


class _Books:
    """Knows which line is being read for which page; kept by the thread that iterates."""

    def __init__(
        self, finder: Finder, read_lines: ReadLines, errors: Errors, options: Reading
    ) -> None:
        self._finder = finder
        self._read_lines = read_lines
        self._errors: Errors = errors
        self._options = options
        self._open: deque[_Open] = deque()
        self._trials: deque[_Trial] = deque()  # whose lines are still to come
        self._again: deque[_Trial] = deque()

    def pages(self) -> Generator[Page, None, None]:
        # What cannot be read as a line says so in its own place: the page is still read.
        lines = self._read_lines(self._crops())
        try:
            for line in lines:
                self._enter(*self._trials.popleft(), line)
                yield from self._finished()
        finally:
            lines.close()

    def _crops(self) -> Iterator[ImageSource | Pause]:
        """The lines to be read, in the order of `_trials`."""
        while True:
            while self._again:
                yield self._try(*self._again.popleft())
            if self._trials and (len(self._open) >= _OPEN or not self._finder.is_ready()):
                yield PAUSE
                continue
            found = self._finder.next()
            if found is not None:
                yield from self._begin(found)
            elif self._trials:  # any of them may have to be read again
                yield PAUSE
            elif not self._again:
                return

    def _begin(self, found: Found) -> Iterator[ImageSource]:
        page = _Open(found)
        self._open.append(page)
        if not found.boxes:
            page.pending += 1
            self._trials.append((page, None, None))
            yield _NO_LINE
        for box in found.boxes:
            first, *others = [box.polygon] if self._options.upright else _ways(box)
            page.slots.append(_Slot(box, others, box.polygon))
            yield self._try(page, page.slots[-1], first)

    def _try(self, page: _Open, slot: _Slot | None, polygon: Polygon | None) -> NDArray[np.uint8]:
        assert page.found.image is not None
        assert polygon is not None
        page.pending += 1
        self._trials.append((page, slot, polygon))
        return crop(page.found.image, _with_ends(polygon)[0])

    def _enter(self, page: _Open, slot: _Slot | None, polygon: Polygon | None, line: Line) -> None:
        page.pending -= 1
        if slot is None or polygon is None:
            return
        if slot.best is None or _value(line) > _value(slot.best):
            slot.flipped = slot.best is not None
            slot.best, slot.polygon = line, polygon
        if _value(slot.best) < _SURE:
            self._try_others(page, slot)
        if not page.pending and not self._is_awaited(page) and not page.voted:
            page.voted = True
            self._vote(page)

    def _try_others(self, page: _Open, slot: _Slot) -> None:
        self._again += [(page, slot, way) for way in slot.ways]
        slot.ways = []

    def _vote(self, page: _Open) -> None:
        """If most of a page stands on its head, try what seemed to be sure, too."""
        lengths = [(len(slot.best.text) if slot.best else 0, slot.flipped) for slot in page.slots]
        if 2 * sum(n for n, flipped in lengths if flipped) > sum(n for n, _ in lengths):
            for slot in page.slots:
                self._try_others(page, slot)

    def _is_awaited(self, page: _Open) -> bool:
        return any(trial[0] is page for trial in self._again)

    def _finished(self) -> Iterator[Page]:
        """Pages from the first on whose lines are all read."""
        while self._open:
            page = self._open[0]
            is_begun = len(page.slots) < len(page.found.boxes)
            if page.pending or is_begun or self._is_awaited(page):
                return
            self._open.popleft()
            yield self._page(page)

    def _page(self, page: _Open) -> Page:
        found, reduction = page.found, page.found.reduction
        if found.error is not None:
            if self._errors == "raise":
                if isinstance(found.error, ModelError):
                    raise found.error
                raise named(found.error, found.source) from found.error
            memory = isinstance(found.error, MemoryError)
            return Page.unread("not enough memory" if memory else str(found.error))
        assert found.image is not None
        kept = [slot for slot in page.slots if self._is_kept(slot)]
        places = reading_order([slot.polygon for slot in kept])
        lines = []
        for place in places:
            slot = kept[place.index]
            whole, room = _with_ends(slot.polygon)
            picture = crop(found.image, whole).copy() if self._options.crops else None
            assert slot.best is not None
            lines.append(
                PageLine(
                    line=_placed(slot.best, room, reduction),
                    polygon=slot.polygon * np.float32(reduction),
                    score=slot.box.score,
                    block=place.block,
                    crop=picture,
                )
            )
        height, width = found.image.shape[:2]
        return Page(width * reduction, height * reduction, tuple(lines))

    def _is_kept(self, slot: _Slot) -> bool:
        line, least = slot.best, self._options.least
        assert line is not None
        if not least or line.error:
            return True
        return line.confidence >= least and bool(line.text.strip())


def _value(line: Line) -> float:
    """Rates a reading, to compare it with another one of the same line."""
    return line.confidence if line.text.strip() else 0.0


def _ways(box: Box) -> list[Polygon]:
    """The ways in which a rectangle may be read, the likeliest first."""
    ways = [box.polygon, turned(box.polygon, 2)]
    runs_down = abs(box.polygon[1, 1] - box.polygon[0, 1]) > 0.7 * box.width
    if runs_down and box.width < _UPRIGHT_MOST * box.height:
        ways.append(turned(box.polygon, 3))  # a single character that is taller than wide
    return ways


def _with_ends(polygon: Polygon) -> tuple[Polygon, float]:
    """Returns the polygon to cut out for a line, and the pixels in it before the line's rectangle.

    A little more at both ends than the detector says: it often cuts commas off.
    """
    room = _ENDS * float(np.hypot(*(polygon[3] - polygon[0])))
    return lengthened(polygon, room), room


def _placed(line: Line, room: float, reduction: int) -> Line:
    """A line without spaces around it, in pixels of the stored page from its rectangle on."""
    text = line.text.strip()
    first = len(line.text) - len(line.text.lstrip())
    chars = tuple(
        Char(
            each.char,
            each.confidence,
            (each.x0 - room) * reduction,
            (each.x1 - room) * reduction,
        )
        for each in line.chars[first : first + len(text)]
    )
    return dataclasses.replace(line, text=text, chars=chars)
