"""Sizes of many images, from their headers alone: in parallel, and remembered."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from crnn.workers import in_order
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError, ImageError
from crnn_runtime.files import write_atomically
from crnn_runtime.picture.header import (
    image_size,
    is_jpeg,
    is_png,
    jpeg_is_complete,
    png_is_complete,
)

MIN_HEIGHT = 4
"""Lower pictures are defects of a data set: they cannot show a character."""

_HEADER_BYTES = 65536
_TAIL_BYTES = 64
_JPEG_END = b"\xff\xd9"
_PNG_END = b"IEND\xaeB`\x82"  # type and checksum of the last chunk
CHUNK = 2048

Failure = tuple[str, str]
"""(kind of defect, detail)."""


def cache_root() -> Path:
    """Returns the folder for files that can be made again: ``$XDG_CACHE_HOME/crnn``
    (``~/.cache/crnn``).

    Not beside the data, which may be read-only.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crnn"


def cache_file(annotations: Path, root: Path) -> Path:
    """Returns the file that keeps the sizes of a data set's images, named by the hash of its
    annotation file.
    """
    key = hashlib.sha256(b"stamped\0" + annotations.read_bytes())
    for place in (root, root / "images"):
        # A folder's time changes when images come and go.
        changed = place.stat().st_mtime_ns if place.is_dir() else 0
        key.update(f"\0{place.resolve()}\0{changed}".encode("utf-8", "surrogateescape"))
    return cache_root() / f"sizes-{key.hexdigest()[:32]}.npy"


def measure(
    images: Sequence[str], root: Path, *, cache: Path | None = None, workers: int | None = None
) -> tuple[NDArray[np.int32], dict[int, Failure]]:
    """Find and measure images, in ``root/images`` (as the original had them) or in ``root``.

    Args:
        images: paths relative to either folder, or absolute.
        root: the data set.
        cache: file that sizes are read from if it exists and written to if they
            changed. A file is opened only if its time or size is another one than when
            it was measured; failures are never cached.
        workers: processes; None takes every processor.

    Returns:
        (n, 3) of height and width in pixels (0 on failure) and folder (0 for
        ``images``, 1 for ``root``), and what went wrong by index.
    """
    known = _load(cache, len(images))
    folders = (str(root / "images"), str(root))
    starts = range(0, len(images), CHUNK)
    tasks = [(images[n : n + CHUNK], known[n : n + CHUNK], folders) for n in starts]
    table = np.zeros_like(known)
    failures: dict[int, Failure] = {}
    for start, (rows, bad) in zip(starts, _run(tasks, workers), strict=True):
        table[start : start + len(rows)] = rows
        failures.update({start + position: failure for position, failure in bad.items()})
    if cache is not None and not np.array_equal(table, known):
        _save(cache, table)
    return table[:, :3].astype(np.int32), failures


_Table = NDArray[np.int64]
"""A row for each image: height, width, folder, stamp."""
_Task = tuple[Sequence[str], _Table, tuple[str, str]]
_Result = tuple[_Table, dict[int, Failure]]


def _run(tasks: list[_Task], workers: int | None) -> list[_Result]:
    count = min(workers or available_cpus(), len(tasks))
    if count <= 1:
        return [_measure_chunk(task) for task in tasks]
    what = "measures pictures, one for each CPU that this process may use,"
    return list(in_order(_measure_chunk, tasks, workers=count, what=what))


def _measure_chunk(task: _Task) -> _Result:
    images, known, folders = task
    rows = known.copy()
    failures = {}
    for position, image in enumerate(images):
        if _is_current(image, known[position].tolist(), folders):
            continue
        rows[position] = 0
        try:
            rows[position] = _measure_one(image, folders)
        except FileNotFoundError:
            failures[position] = ("missing-image", f"no image {image} in {' or '.join(folders)}")
        except ImageError as error:
            failures[position] = ("unreadable-image", f"{image}: {error}")
        except (OSError, ValueError) as error:
            failures[position] = ("unreadable-image", f"{image}: {error}")
    return rows, failures


def _stamp(status: os.stat_result) -> int:
    """One number that changes when a file is written."""
    return hash((status.st_mtime_ns, status.st_size))


def _is_current(image: str, row: list[int], folders: tuple[str, str]) -> bool:
    """Whether a row of the cache still tells the size of the image."""
    height, _, where, stamp = row
    if not height:
        return False
    try:
        return _stamp(os.stat(os.path.join(folders[where], image))) == stamp  # noqa: PTH116, PTH118
    except (OSError, ValueError):
        return False


def _measure_one(image: str, folders: tuple[str, str]) -> tuple[int, int, int, int]:
    for where, folder in enumerate(folders):
        path = os.path.join(folder, image)  # noqa: PTH118 (a million times: Path is slow)
        try:
            file = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115
        except (FileNotFoundError, NotADirectoryError):
            continue
        with file:
            head = tail = file.read(_HEADER_BYTES)
            if len(head) == _HEADER_BYTES:
                file.seek(-_TAIL_BYTES, os.SEEK_END)
                tail = file.read()

            def whole(file: BinaryIO = file) -> bytes:
                file.seek(0)
                return file.read()

            height, width = whole_size(head, tail, whole)
            return height, width, where, _stamp(os.fstat(file.fileno()))
    raise FileNotFoundError(image)


def whole_size(head: bytes, tail: bytes, whole: Callable[[], bytes]) -> tuple[int, int]:
    """(height, width) of a picture whose end is there, mostly from a few of its bytes.

    Args:
        head: its first bytes.
        tail: its last bytes.
        whole: gives all of it, called only where those do not settle the matter.

    Raises:
        ImageError: empty, no picture, too low, or a JPEG or PNG without its end.
    """
    if not head:
        raise ImageError("image is empty (0 bytes)")
    try:
        height, width = image_size(head)
    except ImageError:
        # A long EXIF block may push the size beyond the first bytes.
        height, width = image_size(whole())
    if height < MIN_HEIGHT or width < 1:
        raise ImageError(
            f"image has {width} × {height} pixels, a line is {MIN_HEIGHT} high at least"
        )
    tail = tail[-_TAIL_BYTES:]
    # Some programs append data of their own: only the whole file tells then.
    if is_jpeg(head) and _JPEG_END not in tail and not jpeg_is_complete(whole()):
        raise ImageError("image is truncated: the end of the JPEG data is missing")
    if is_png(head) and _PNG_END not in tail and not png_is_complete(whole()):
        raise ImageError("image is damaged or truncated: a part of the PNG data is missing")
    return height, width


def _load(cache: Path | None, count: int) -> _Table:
    if cache is not None and cache.is_file():
        try:
            table = np.load(cache, allow_pickle=False)
        except (OSError, ValueError):
            table = np.zeros(0, np.int64)
        if table.shape == (count, 4) and table.dtype == np.int64:
            return np.array(table)
    return np.zeros((count, 4), np.int64)


def _save(cache: Path, table: _Table) -> None:
    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.save(file, table)

    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, write)
    except (CrnnError, OSError):
        return  # a cache that cannot be written costs time, not results
