"""A whole run of ``crnn-bulk`` without Ray, its rows, and inputs of other kinds."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from bulk_lines import DISTINCT, expected, pictures

from crnn_serve.bulk import run
from crnn_serve.bulk.model import Reader
from crnn_serve.bulk.sources import Columns
from crnn_serve.bulk.store import Store
from crnn_serve.bulk.worker import Job, Outcome, Worker


def read_all(
    reader: Reader, inputs: list[str], out: str, lines_per_part: int = 10
) -> list[Outcome]:
    """A whole run with one worker of this process."""
    begun = run.begin(reader, inputs, out, Columns(), lines_per_part)
    worker = Worker(
        Job(
            reader=reader, out=begun.store.address, manifest=begun.manifest, device="cpu",
            threads=1, batch_size=None,
        )
    )  # fmt: skip
    return [worker.read(part) for part in begun.missing]


def rows(out: Path | str) -> list[dict[str, Any]]:
    store = Store(str(out))
    names = sorted(name for name in store.names() if name.startswith("part-"))
    return [row for name in names for row in pq.read_table(store.open(name)).to_pylist()]


def texts(count: int) -> list[str]:
    return [expected()[n % DISTINCT].text for n in range(count)]


def write_tar(path: Path, names: list[str], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for number, name in enumerate(names):
            for suffix, content in (("", pictures()[number]), (".txt", b"a label")):
                member = tarfile.TarInfo(name + suffix)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def parquet(path: Path, columns: dict[str, Any], **options: int) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path
