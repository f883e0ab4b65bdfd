"""Photographs cut into pictures of lines, once each."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime import CrnnError
from crnn_runtime.picture.files import IMAGE_SUFFIXES
from crnn_serve.label.journal import Journal

if TYPE_CHECKING:
    from crnn_runtime.page.page import Page

LINES = "lines"
"""The folder beside the photographs that their lines are put into."""
_PART = ".part"  # of a page that is being cut


class PageReader(Protocol):
    """Reads pages and keeps the lines cut out: `crnn_runtime.Recognizer.read_pages`."""

    def __call__(self, pages: Iterable[Path], /) -> Generator["Page", None, None]:
        """One page for each picture, in order; with an error if it cannot be read."""
        ...


def cut_pages(folder: Path, read: PageReader, say: Callable[[str], None]) -> Path:
    """Cut the photographs of a folder that are not cut yet: ``lines/PHOTOGRAPH/001.png``, ….

    A page is cut whole or not at all, so this can be ended at any moment and begun again.

    Args:
        folder: of the photographs; those in hidden folders and ``lines`` are left out.
        read: finds the lines.
        say: what is told of a photograph that cannot be cut, and at the end.

    Returns:
        the folder of the lines.

    Raises:
        CrnnError: there is no photograph, another process has the folder, or a picture
            cannot be written.
    """
    photographs = _photographs(folder)
    if not photographs:
        raise CrnnError(f"{folder} holds no photograph: give a folder of pictures of pages")
    lines = folder / LINES
    try:
        lines.mkdir(exist_ok=True)
        with closing(Journal(lines)):  # nobody else cuts or labels here meanwhile
            for part in lines.rglob(f"*{_PART}"):
                rmtree(part)  # of a run that was killed
            todo = {path: place for path in photographs if not (place := lines / path).is_dir()}
            if todo:
                _cut(folder, todo, read, say)
    except OSError as error:
        raise CrnnError(
            f"cannot write {error.filename or lines}: {error.strerror}: make room and begin again"
        ) from error
    return lines


def _cut(
    folder: Path, todo: Mapping[Path, Path], read: PageReader, say: Callable[[str], None]
) -> None:
    """``todo`` is photograph → folder of its lines."""
    found = cut = 0
    with closing(read(folder / path for path in todo)) as pages:
        for (path, place), page in zip(todo.items(), pages, strict=True):
            if page.error:
                say(f"{path}: {page.error}")
                continue
            _write(place, [line.crop for line in page.lines if line.crop is not None])
            found, cut = found + len(page.lines), cut + 1
    say(f"Cut {cut} pages into {found} lines")


def _photographs(folder: Path) -> list[Path]:
    """Their paths in the folder, sorted."""
    found = []
    for root, folders, names in os.walk(folder):
        here = Path(root).relative_to(folder)
        folders[:] = [name for name in folders if name[0] != "." and (here / name) != Path(LINES)]
        found += [here / name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    return sorted(found)


def _write(place: Path, crops: list[NDArray[np.uint8]]) -> None:
    part = place.with_name(f".{place.name}{_PART}")
    part.mkdir(parents=True)
    try:
        for number, crop in enumerate(crops, start=1):
            data = cv2.imencode(".png", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))[1].tobytes()
            with (part / f"{number:03}.png").open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        part.rename(place)
    except BaseException:
        rmtree(part, ignore_errors=True)
        raise
