"""Many pictures in, a table out: in constant memory, and a picture that fails is a row."""

import csv
import os
import time
import zipfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from pathlib import Path

from crnn_runtime import CrnnError, ImageError, Recognizer
from crnn_runtime.picture.files import IMAGE_SUFFIXES, iter_paths
from crnn_runtime.picture.load import MAX_FILE_BYTES
from crnn_runtime.picture.sources import ImageSource

COLUMNS = ("path", "text", "confidence", "error")
_PREVIEWED = 30
_COUNTED = 100_000
_EVERY = 0.25  # seconds from one report to the next

Picture = tuple[str, ImageSource]
"""Its name, and what to read."""


@dataclass(frozen=True, slots=True)
class Given:
    """A visitor's input: a file of theirs, or a folder of the server's.

    Attributes:
        name: what to call it.
        path: where it lies.
    """

    name: str
    path: Path


@dataclass(slots=True)
class Report:
    """The progress of a run.

    Attributes:
        total: pictures, None if there are too many to be counted beforehand.
        done: pictures read or given up.
        failed: of these, given up.
        seconds: since the start.
        first: the first rows of the table.
        finished: whether the table gets no more lines.
        stopped: whether there would have been more.
    """

    total: int | None
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    first: list[tuple[str, str, str, str]] = field(default_factory=list)
    finished: bool = False
    stopped: bool = False


def hold(given: Sequence[Given], place: Path) -> list[Given]:
    """The files under names in ``place``, where nobody deletes them when their time is over.

    Raises:
        CrnnError: one is gone already.
    """
    held = []
    for number, each in enumerate(given):
        if each.path.is_dir():
            held.append(each)
            continue
        path = place / f"{number}{each.path.suffix.lower()}"
        try:
            path.hardlink_to(each.path)  # its content is not copied
        except OSError as error:
            raise CrnnError(f"{each.name} is not there any more: give it again") from error
        held.append(Given(each.name, path))
    return held


def refresh(place: Path) -> None:
    """Make what is held look new."""
    for path in (place, *place.iterdir()):
        os.utime(path)


def count(given: Sequence[Given]) -> int | None:
    """Pictures in all, None if they are more than are worth counting.

    Raises:
        CrnnError: a zip file that cannot be read.
    """
    found = 0
    for each in given:
        if each.path.is_dir():
            found += sum(1 for _ in islice(iter_paths([str(each.path)]), _COUNTED + 1))
        elif each.path.suffix.lower() == ".zip":
            with _opened(each) as archive:
                found += sum(1 for _ in _members(archive))
        else:
            found += 1
    return found if found <= _COUNTED else None


def pictures(given: Sequence[Given]) -> Iterator[Picture]:
    """The pictures one by one; of a zip file, one is in memory at a time.

    Raises:
        CrnnError: a zip file that cannot be read.
    """
    for each in given:
        if each.path.is_dir():
            for path in iter_paths([str(each.path)]):
                yield str(Path(path).relative_to(each.path)), path
        elif each.path.suffix.lower() == ".zip":
            with _opened(each) as archive:
                for member in _members(archive):
                    yield f"{each.name}/{member.filename}", _unpacked(archive, member)
        else:
            yield each.name, str(each.path)


def read_all(
    recognizer: Recognizer,
    given: Sequence[Given],
    table: Path,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Report, None, None]:
    """Read every picture into a CSV file, reporting a few times a second.

    The file is UTF-8 with a byte-order mark, which spreadsheets need to see that it is.

    Args:
        recognizer: to read with.
        given: where the pictures are.
        table: the CSV file.
        stop: whether to leave it at what was read; asked before each line.

    Raises:
        CrnnError: a zip file that cannot be read.
    """
    report, start = Report(count(given)), time.monotonic()
    next_report = start
    ahead: deque[str] = deque()

    def sources() -> Iterator[ImageSource]:
        for name, source in pictures(given):
            ahead.append(name)
            yield source

    with (
        table.open("w", newline="", encoding="utf-8-sig", errors="backslashreplace") as file,
        closing(recognizer.stream(sources(), errors="return")) as lines,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for line in lines:
            if stop():
                report.stopped = True
                break
            confidence = "" if line.error else f"{line.confidence:.4f}"
            row = ahead.popleft(), line.text, confidence, line.error or ""
            writer.writerow(row)
            report.done += 1
            report.failed += bool(row[3])
            if len(report.first) < _PREVIEWED:
                report.first.append(row)
            now = time.monotonic()
            if now >= next_report:
                next_report, report.seconds = now + _EVERY, now - start
                file.flush()  # a file in use is not an old one; a full disk is told of soon
                yield report
    report.seconds, report.finished = time.monotonic() - start, True
    yield report


def report_html(report: Report) -> str:
    """A bar, figures, and the first rows."""
    all_read = report.finished and not report.stopped
    share = report.done / report.total if report.total else float(all_read)
    of_total = f" of {report.total:,}" if report.total is not None else ""
    rate = f", {report.done / report.seconds:,.0f} a second" if report.seconds > 1 else ""
    failed = f", {report.failed:,} could not be read" if report.failed else ""
    what = "Read" if all_read else "Stopped after" if report.stopped else "Reading"
    rows = "".join(
        f"<tr{' class=cw-bad' if error else ''}><td>{escape(path)}</td>"
        f"<td>{escape(error or text)}</td><td>{confidence}</td></tr>"
        for path, text, confidence, error in report.first
    )
    more = report.done - len(report.first)
    rest = f'<p class="cw-caption">and {more:,} more in the table</p>' if more else ""
    return (
        f'<div class="cw-card cw-batch" data-finished="{str(report.finished).lower()}">'
        f'<p class="cw-facts"><span>{what} {report.done:,}{of_total} pictures{failed}{rate}</span>'
        f'</p><div class="cw-progress"><i style="width:{100 * share:.1f}%"></i></div>'
        f'<div class="cw-scroll"><table class="cw-table"><thead><tr><th>picture</th><th>text</th>'
        f"<th>confidence</th></tr></thead><tbody>{rows}</tbody></table></div>{rest}</div>"
    )


def _opened(each: Given) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(each.path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CrnnError(f"{each.name} is not a zip file that can be read: {reason}") from error


def _members(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    for member in archive.infolist():
        path = Path(member.filename)
        hidden = path.name.startswith(".") or path.parts[:1] == ("__MACOSX",)
        if not member.is_dir() and not hidden and path.suffix.lower() in IMAGE_SUFFIXES:
            yield member


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | ImageError:
    """A member's bytes, or why there are none."""
    try:
        with archive.open(member) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except RuntimeError:
        return ImageError("it is encrypted in the zip file")
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        return ImageError(f"it is damaged in the zip file: {error}")
    except Exception as error:  # each kind of compression has errors of its own
        return ImageError(f"it is damaged in the zip file: {error}")
    if len(data) > MAX_FILE_BYTES:
        return ImageError(f"it has more than {MAX_FILE_BYTES // 10**6} MB")
    return data
