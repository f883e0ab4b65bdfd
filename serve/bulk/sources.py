"""Lists the pictures that the user's names stand for, lazily and always in one order."""

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crnn_runtime.errors import CrnnError
from crnn_runtime.picture.files import IMAGE_SUFFIXES, walk_files
from crnn_serve.bulk.store import is_local, open_address

Kind = Literal["image", "parquet", "tar"]

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIX = ".parquet"
PLAN = "_plan.parquet"
"""In an output folder, whose Parquet files are no input; one row group for each part. Readers
of Parquet folders pass over names with ``_``."""
SLICED_BYTES = 64_000_000
"""Row groups up to this size, uncompressed, are shared by several parts: each has to read
its group from the start. Larger ones are read by one worker, as a whole."""

IMAGE_COLUMNS = ("image", "bytes", "jpg", "jpeg", "png", "webp", "img", "data", "content")
"""Columns that pictures are looked for in, the first that is there."""
ID_COLUMNS = ("path", "file_path", "file_name", "filename", "key", "__key__", "id", "name", "url")
"""Columns that say what a picture is called, the first that is there."""


@dataclass(frozen=True, slots=True)
class Item:
    """One picture, or a run of pictures in one file.

    Attributes:
        kind: of the file.
        source: absolute path, or URL.
        group: row group of a Parquet file; -1 is all of them.
        first: row in the group that is read first.
        lines: pictures; None where only reading the file can tell.
    """

    kind: Kind
    source: str
    group: int = -1
    first: int = 0
    lines: int | None = 1


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of Parquet files that hold pictures and names; None has them found."""

    image: str | None = None
    name: str | None = None

    def image_in(self, names: Sequence[str], source: str) -> str:
        """The column with the pictures.

        Raises:
            CrnnError: the file has none.
        """
        return _column(names, self.image, IMAGE_COLUMNS, source, "--image-column") or ""

    def name_in(self, names: Sequence[str], source: str) -> str | None:
        """The column with the names, None if the file has none.

        Raises:
            CrnnError: the one asked for is not there.
        """
        return _column(names, self.name, ID_COLUMNS, source, "--id-column")


def _column(
    names: Sequence[str], asked: str | None, usual: Sequence[str], source: str, option: str
) -> str | None:
    if asked is not None and asked in names:
        return asked
    found = next((name for name in usual if name in names), None)
    if asked is None and (found is not None or option == "--id-column"):
        return found
    wanted = f"no column {asked}" if asked is not None else "no column with pictures"
    raise CrnnError(f"{source}: {wanted}, it has {', '.join(names)}: name one with {option}")


def list_items(inputs: Iterable[str], columns: Columns, lines: int) -> Iterator[Item]:
    """The pictures of all inputs: files, folders and globs, local or fsspec URLs.

    Holds the names of one folder at a time. Files of a folder that are neither
    pictures, tar archives nor Parquet are passed over; one that is named is read.

    Args:
        inputs: as the user gave them.
        columns: of Parquet files.
        lines: pictures of one part: larger row groups are cut, see `SLICED_BYTES`.

    Raises:
        CrnnError: an input is missing or holds nothing to read, or a Parquet file has
            no column with pictures.
    """
    for given in inputs:
        files, path = open_address(given)
        empty = True
        paths = _local(given, path) if is_local(files) else _remote(given, files, path)
        for source in paths:
            empty = False
            yield from _items(files, source, columns, lines)
        if empty:
            raise CrnnError(f"{given}: no picture, tar archive or Parquet file in it")


def kind_of(source: str) -> Kind:
    """Tells a file's kind by its name; a file without a known suffix is taken for a picture."""
    name = source.lower()
    if name.endswith(TAR_SUFFIXES):
        return "tar"
    return "parquet" if name.endswith(PARQUET_SUFFIX) else "image"


def _items(files: Any, source: str, columns: Columns, lines: int) -> Iterator[Item]:  # noqa: ANN401
    kind = kind_of(source)
    if kind == "parquet":
        yield from _row_groups(files, source, columns, lines)
    else:
        yield Item(kind, source, lines=None if kind == "tar" else 1)


def _row_groups(files: Any, source: str, columns: Columns, lines: int) -> Iterator[Item]:  # noqa: ANN401
    import pyarrow.parquet as pq  # noqa: PLC0415 (the extra)

    try:
        with files.open(source, "rb") as file, pq.ParquetFile(file) as table:
            groups = [table.metadata.row_group(n) for n in range(table.num_row_groups)]
            sizes = [(group.num_rows, group.total_byte_size) for group in groups]
            names = table.schema_arrow.names
    except (OSError, ValueError):
        yield Item("parquet", source, lines=None)  # its worker says what is wrong with it
        return
    columns.image_in(names, source)
    columns.name_in(names, source)
    for number, (rows, size) in enumerate(sizes):
        step = lines if size <= SLICED_BYTES else rows
        for first in range(0, rows, max(1, step)):
            yield Item("parquet", source, number, first, min(step, rows - first))


def _local(given: str, path: str) -> Iterator[str]:
    if Path(path).exists():
        yield from _within(path)
        return
    matches = sorted(glob.iglob(path, recursive=True)) if glob.has_magic(path) else []  # noqa: PTH207
    if not matches:
        raise CrnnError(f"{given}: no such file or folder")
    for match in matches:
        yield from _within(match)


def _within(path: str) -> Iterator[str]:
    if not Path(path).is_dir():
        yield path
        return
    suffixes = IMAGE_SUFFIXES | {".tar", ".gz", ".tgz", PARQUET_SUFFIX}
    for found in walk_files(Path(path), suffixes):
        is_part = found.endswith(PARQUET_SUFFIX) and Path(found).with_name(PLAN).exists()
        if _wanted(found) and not is_part:
            yield found


def _wanted(path: str) -> bool:
    """Whether a file of a folder is read: other programs' notes (_SUCCESS) are not."""
    name = path.rpartition("/")[2].lower()
    if kind_of(name) != "image":
        return not name.startswith(("_", "."))
    return not name.endswith(".gz")


def _remote(given: str, files: Any, path: str) -> Iterator[str]:  # noqa: ANN401
    try:
        if glob.has_magic(path) and not files.exists(path):
            matches = sorted(files.glob(path, detail=True).items())
        else:
            matches = [(path, files.info(path))]
        for match, about in matches:
            if about["type"] != "directory":
                yield files.unstrip_protocol(match)
                continue
            for folder, folders, names in files.walk(match):
                folders.sort()
                parts = PARQUET_SUFFIX if PLAN in names else ()  # of an earlier run
                for name in sorted(names):
                    if _listed(name) and _wanted(name) and not name.endswith(parts):
                        yield files.unstrip_protocol(f"{folder}/{name}")
        missing = not matches
    except FileNotFoundError:
        missing = True
    except Exception as error:  # fsspec's file systems share no base class of errors
        raise CrnnError(f"cannot list {given}: {error}") from error
    if missing:
        raise CrnnError(f"{given}: no such file or folder")


def _listed(name: str) -> bool:
    return kind_of(name) != "image" or Path(name).suffix.lower() in IMAGE_SUFFIXES
