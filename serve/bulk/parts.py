"""Files of results: one for each part, Parquet of lines and JSON of pages."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from crnn_runtime.errors import CrnnError
from crnn_runtime.line import Line
from crnn_runtime.page.output import to_json
from crnn_runtime.page.page import Page
from crnn_serve.bulk.store import Store, one_line

LINES, PAGES = ".parquet", ".jsonl"
"""Suffixes of parts."""
_ROWS = 4096  # held before they are written: a part may be a large archive
_KEY = b"crnn-bulk"
_AT_ONCE = 16  # footers that are read together

Row = tuple[str, Line]
"""The name of a picture, and its line."""
PageRow = tuple[str, Page]
"""The name of a picture, and the page that was read on it."""


@dataclass(frozen=True, slots=True)
class Count:
    """Lines of a part, and those among them that could not be read."""

    lines: int = 0
    unread: int = 0


def part_name(part: int, suffix: str = LINES) -> str:
    """The file of a part."""
    return f"part-{part:06d}{suffix}"


def finished_parts(names: Iterable[str]) -> set[int]:
    """File names of an output folder → the parts that are written."""
    known = (name.removeprefix("part-").removesuffix(LINES).removesuffix(PAGES) for name in names)
    return {int(n) for n in known if n.isdigit()}


@cache
def schema() -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Columns of the output; places are in pixels of the picture."""
    import pyarrow as pa  # noqa: PLC0415 (the extra)

    char = pa.struct([
        pa.field("char", pa.string(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),
        pa.field("x0", pa.float32(), nullable=False),
        pa.field("x1", pa.float32(), nullable=False),
    ])  # fmt: skip
    return pa.schema([
        pa.field("path", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),
        pa.field("chars", pa.list_(pa.field("element", char, nullable=False)), nullable=False),
        pa.field("turned", pa.int16(), nullable=False),
        pa.field("error", pa.string()),
    ])  # fmt: skip


def to_batch(rows: Sequence[Row]) -> Any:  # noqa: ANN401
    """Rows → a record batch of `schema`."""
    import pyarrow as pa  # noqa: PLC0415 (the extra)

    lines = [line for _, line in rows]
    ends = np.cumsum([0, *(len(line.chars) for line in lines)])
    chars = list(chain.from_iterable(line.chars for line in lines))
    fields = schema().field("chars").type.value_type
    columns = [
        pa.array([char.char for char in chars], pa.string()),
        *(
            pa.array([getattr(char, name) for char in chars], pa.float32())
            for name in ("confidence", "x0", "x1")
        ),
    ]
    characters = pa.StructArray.from_arrays(columns, fields=list(fields))
    return pa.record_batch(
        [
            pa.array([_text(path) for path, _ in rows], pa.string()),
            pa.array([line.text for line in lines], pa.string()),
            pa.array([line.confidence for line in lines], pa.float32()),
            pa.ListArray.from_arrays(
                pa.array(ends, pa.int32()), characters, type=schema().field("chars").type
            ),
            pa.array([line.turned for line in lines], pa.int16()),
            pa.array([line.error for line in lines], pa.string()),
        ],
        schema=schema(),
    )


def write_part(store: Store, part: int, rows: Iterable[Row]) -> Count:
    """Write a part as its rows are read.

    Raises:
        CrnnError: the folder cannot be written, or is full.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 (the extra)

    count = Count()

    def write(path: Path) -> None:
        nonlocal count
        with pq.ParquetWriter(path, schema(), compression="zstd") as file:
            for some in _batches(rows):
                file.write_batch(to_batch(some))
                unread = sum(line.error is not None for _, line in some)
                count = Count(count.lines + len(some), count.unread + unread)
            file.add_key_value_metadata({_KEY: json.dumps(asdict(count))})

    store.write(part_name(part), write)
    return count


def write_pages(store: Store, part: int, rows: Iterable[PageRow]) -> Count:
    """Write a part of pages, a line of JSON each, as they are read.

    Raises:
        CrnnError: the folder cannot be written, or is full.
    """
    count = Count()

    def write(path: Path) -> None:
        nonlocal count
        with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
            for name, page in rows:
                file.write(to_json(name, page) + "\n")
                count = Count(count.lines + 1, count.unread + (page.error is not None))

    store.write(part_name(part, PAGES), write)
    return count


def read_count(store: Store, part: int, suffix: str = LINES) -> Count:
    """Counts the rows of a part; for Parquet, its footer holds the numbers.

    Raises:
        CrnnError: it cannot be read, or ``crnn-bulk`` did not write it.
    """
    name = part_name(part, suffix)
    try:
        with store.open(name) as file:
            return _count_of_pages(file) if suffix == PAGES else _count_in_footer(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CrnnError(
            f"{store.address}/{name} is damaged or not of crnn-bulk ({one_line(error)}): remove "
            "it, and the same command reads that part again"
        ) from error


def _count_in_footer(file: Any) -> Count:  # noqa: ANN401
    import pyarrow.parquet as pq  # noqa: PLC0415 (the extra)

    return Count(**json.loads((pq.read_metadata(file).metadata or {})[_KEY]))


def _count_of_pages(file: Any) -> Count:  # noqa: ANN401
    pages = [json.loads(row) for row in file]
    return Count(len(pages), sum("error" in page for page in pages))


def read_counts(store: Store, parts: Iterable[int], suffix: str = LINES) -> Count:
    """Counts the rows of all these parts together.

    Raises:
        CrnnError: see `read_count`.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        counts = list(threads.map(lambda part: read_count(store, part, suffix), parts))
    return Count(sum(count.lines for count in counts), sum(count.unread for count in counts))


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while some := list(islice(rows, _ROWS)):
        yield some


def _text(path: str) -> str:
    """A path as Parquet can hold it: bytes that are not UTF-8 become ``\\udc80`` and so on."""
    return path.encode("utf-8", "backslashreplace").decode()
