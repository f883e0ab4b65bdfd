"""Plans which part reads which pictures, once, so that a run can go on where it was."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crnn_runtime.errors import CrnnError
from crnn_serve.bulk.sources import PLAN, Item
from crnn_serve.bulk.store import Store


def to_parts(items: Iterable[Item], lines: int) -> Iterator[list[Item]]:
    """Items in their order → those of one part after the other.

    A part has ``lines`` pictures; only a file that cannot be cut makes a larger one,
    and a tar archive is always a part of its own.
    """
    part: list[Item] = []
    count = 0
    for item in items:
        if part and (item.lines is None or count + item.lines > lines):
            yield part
            part, count = [], 0
        if item.lines is None:
            yield [item]
        elif item.lines:
            part.append(item)
            count += item.lines
    if part:
        yield part


def write_plan(store: Store, parts: Iterable[list[Item]]) -> int:
    """Write the parts down, in memory that does not grow with the pictures.

    Returns:
        how many parts there are.

    Raises:
        CrnnError: the folder cannot be written, or what the listing raises.
    """
    import pyarrow as pa  # noqa: PLC0415 (the extra)
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pa.schema([
        ("kind", pa.string()),
        ("source", pa.binary()),  # a path need not be UTF-8
        ("group", pa.int32()),
        ("first", pa.int64()),
        ("lines", pa.int64()),
    ])  # fmt: skip
    written = 0

    def write(path: Path) -> None:
        nonlocal written
        with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=False) as file:
            for part in parts:
                columns = [
                    [item.kind for item in part],
                    [item.source.encode("utf-8", "surrogateescape") for item in part],
                    [item.group for item in part],
                    [item.first for item in part],
                    [item.lines for item in part],
                ]
                file.write_table(pa.table(columns, schema=schema), row_group_size=len(part))
                written += 1

    store.write(PLAN, write)
    return written


class Plan:
    """A plan that was written.

    Raises:
        CrnnError: it cannot be read.
    """

    def __init__(self, store: Store) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415 (the extra)

        try:
            self._file: Any = store.open(PLAN)
            self._table = pq.ParquetFile(self._file)
        except (OSError, ValueError) as error:
            raise CrnnError(
                f"cannot read the plan {store.address}/{PLAN}: {error}: "
                "give another folder, or remove this one"
            ) from error

    def __len__(self) -> int:
        return int(self._table.num_row_groups)

    def __getitem__(self, part: int) -> list[Item]:
        rows = self._table.read_row_group(part).to_pylist()
        return [
            Item(**{**row, "source": row["source"].decode("utf-8", "surrogateescape")})
            for row in rows
        ]

    def close(self) -> None:
        """Close the file."""
        self._table.close()
        self._file.close()
