"""Tells which files are pictures, and lists those that a command is given."""

import glob
import os
import select
import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from crnn_runtime.errors import CrnnError

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
)
"""Files that are read when a folder is given."""


def iter_paths(images: Iterable[str]) -> Iterator[str]:
    """Expand folders, globs and ``-`` (paths on standard input, one a line).

    A folder or glob that holds no image is yielded itself: reading it gives the error.
    """
    for image in images:
        path = Path(image)
        if image == "-":
            yield from filter(None, listed_paths())
        elif path.is_dir():
            found = walk_files(path)
            yield next(found, image)
            yield from found
        elif not path.exists() and glob.has_magic(image):
            matches = sorted(glob.glob(image, recursive=True))  # noqa: PTH207
            yield from iter_paths(matches) if matches else [image]
        else:
            yield image


def listed_paths() -> Iterator[str | None]:
    """Paths on standard input, one a line; None when the next line is not there yet."""
    if sys.stdin is None:
        raise CrnnError("standard input is closed: - reads a list of files from it")
    try:
        terminal = sys.stdin.fileno()
    except OSError:  # not a file, but what a test put in its place
        yield from filter(None, (line.rstrip("\r\n") for line in sys.stdin))
        return
    rest = b""
    while True:
        if not select.select([terminal], [], [], 0)[0]:
            yield None
        data = os.read(terminal, 1 << 16)
        *lines, rest = (rest + (data or b"\n")).split(b"\n")
        for line in lines:
            if path := line.rstrip(b"\r").decode("utf-8", "surrogateescape"):
                yield path
        if not data:
            return


def walk_files(folder: Path, suffixes: Container[str] = IMAGE_SUFFIXES) -> Iterator[str]:
    """The images below a folder, sorted within each folder.

    Only the names of one folder at a time are in memory. A folder that cannot be
    listed is yielded itself: reading it gives the error.

    Args:
        folder: where to begin; links to folders within it are not followed.
        suffixes: of the files that are given, in small letters.
    """
    names, folders = [], set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.name)
                elif Path(entry.name).suffix.lower() not in suffixes:
                    continue
                names.append(entry.name)
    except OSError:
        yield str(folder)
        return
    names.sort()
    for name in names:
        path = folder / name
        if name in folders:
            yield from walk_files(path, suffixes)
        elif not path.is_dir():  # a link that leads nowhere is named as unread
            yield str(path)
