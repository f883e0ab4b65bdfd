"""``crnn-infer --page``: pages in, lines in reading order out."""

import re
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crnn_runtime.cli.page_options import PageOptions
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically
from crnn_runtime.picture.files import iter_paths
from crnn_runtime.picture.messages import DecoderMessages

if TYPE_CHECKING:
    from crnn_runtime.page.detect import Detector
    from crnn_runtime.page.page import Page
    from crnn_runtime.recognizer import Recognizer

LABELS = "lines.tsv"
"""In the folder of ``--out-dir``: path of each line's picture, tab, what it says."""
_NAME_BYTES = 100  # of a page's name in the names of its files
_PAGE_END = "\f"  # after each page of plain text, as other programs put it


def read_pages_of(
    recognizer: "Recognizer",
    images: tuple[str, ...],
    options: PageOptions,
    *,
    device: str | None,
    threads: int | None,
    raw: bool,
    as_json: bool,
) -> int:
    """Read pages and print or write what they say; gives how many could not be read.

    Raises:
        click.UsageError: options exclude each other.
        CrnnError: the detector cannot be used, or a file not be written.
    """
    from crnn_runtime.page.detect import Detector  # noqa: PLC0415 (not for --help)
    from crnn_runtime.page.output import FORMATS  # noqa: PLC0415

    if raw:
        raise click.UsageError("--raw is for lines, not for a --page")
    if as_json and options.kind not in (None, "json"):
        raise click.UsageError(f"--json and --as {options.kind} exclude each other")
    kind = "json" if as_json else options.kind or "text"
    suffix, shape = FORMATS[kind]
    folder = None if options.out_dir is None else _Folder(options.out_dir, suffix)
    unread = 0
    with Detector(options.detector, device, threads, options.detection()) as detector:
        for path, page, warning in _pages(recognizer, detector, images, options):
            if page.error:
                unread += 1
                _say(f"{_shown(path)}: {page.error}")
                continue
            if warning:
                _say(f"{_shown(path)}: warning, the picture may be damaged: {warning}")
            for line in page.lines:
                if line.line.error:
                    x, y = line.bounds[:2]
                    _say(f"{_shown(path)}: a line at x {x:.0f}, y {y:.0f}: {line.line.error}")
            if folder is not None:
                folder.write(path, page, shape(path, page))
            else:
                click.echo(shape(path, page))
                if kind == "text":
                    click.echo(_PAGE_END, nl=False)
    if folder is not None:
        folder.finish()
    return unread


def _pages(
    recognizer: "Recognizer", detector: "Detector", images: tuple[str, ...], options: PageOptions
) -> Iterator[tuple[str, "Page", str]]:
    """Every path, its page, and what the decoder said of it."""
    ahead: deque[str] = deque()

    def paths() -> Iterator[str]:
        for path in iter_paths(images):
            ahead.append(path)
            yield path

    reading = options.reading(crops=options.out_dir is not None)
    with (
        DecoderMessages() as messages,
        closing(
            recognizer.read_pages(paths(), detector=detector, errors="return", options=reading)
        ) as pages,
    ):
        for page in pages:
            path = ahead.popleft()
            yield path, page, messages.of(path)


class _Folder:
    """The folder that the files of pages are written to; each page has a name of its own there.

    Args:
        folder: made if it is not there.
        suffix: of the files.

    Raises:
        CrnnError: it cannot be made.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder = folder
        self._suffix = suffix
        self._taken: set[str] = set()
        self._labels: list[str] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CrnnError(f"cannot make {folder}: {error.strerror}") from error

    def write(self, path: str, page: "Page", content: str) -> None:
        """The page's file, and a folder with a picture of each line."""
        import cv2  # noqa: PLC0415 (not for --help)

        name = self._name(path)
        data = content.encode("utf-8", "backslashreplace")
        target = self._folder / f"{name}{self._suffix}"
        write_atomically(target, lambda part: part.write_bytes(data + b"\n"))
        place = self._folder / name
        try:
            place.mkdir(exist_ok=True)
        except OSError as error:
            raise CrnnError(f"cannot make {place}: {error.strerror}") from error
        for number, line in enumerate(page.lines, start=1):
            assert line.crop is not None
            coded = cv2.imencode(".png", cv2.cvtColor(line.crop, cv2.COLOR_RGB2BGR))[1].tobytes()
            picture = place / f"{number:04}.png"
            write_atomically(picture, lambda part, coded=coded: part.write_bytes(coded))  # type: ignore[misc]
            self._labels.append(f"{name}/{picture.name}\t{' '.join(line.text.split())}\n")

    def finish(self) -> None:
        """Write which picture says what."""
        text = "".join(self._labels)
        write_atomically(self._folder / LABELS, lambda part: part.write_text(text, "utf-8"))

    def _name(self, path: str) -> str:
        """A page's own name, without what any file system or shell minds."""
        plain = re.sub(r"[^\w.-]+", "_", Path(path).stem, flags=re.ASCII).strip("._-")
        plain = plain[:_NAME_BYTES] or "page"
        name, number = plain, 1
        while name.lower() in self._taken or f"{name}{self._suffix}".lower() == LABELS:
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name.lower())
        return name


def _say(text: str) -> None:
    click.echo(text, err=True)


def _shown(path: str) -> str:
    """A path in one line."""
    return path.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
