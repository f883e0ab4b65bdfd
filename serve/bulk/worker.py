"""A worker: holds one recognizer, reads one part after the other, and writes each."""

import glob
import os
import socket
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crnn_runtime import CrnnError, Detector, Recognizer
from crnn_runtime.page.reading import Reading
from crnn_runtime.picture.messages import silence_opencv
from crnn_runtime.picture.sources import ImageSource
from crnn_serve.bulk.fetch import Picture, fetch
from crnn_serve.bulk.manifest import Manifest
from crnn_serve.bulk.model import Reader
from crnn_serve.bulk.parts import (
    Count,
    PageRow,
    Row,
    part_name,
    read_count,
    write_pages,
    write_part,
)
from crnn_serve.bulk.plan import Plan
from crnn_serve.bulk.sources import Columns
from crnn_serve.bulk.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The instructions that every worker is given.

    Attributes:
        reader: the model, or a reference to it in Ray's object store.
        out: the output folder.
        manifest: what the folder was begun with.
        device: ``cpu`` or ``cuda``.
        threads: of each worker.
        batch_size: lines inferred together at most, None for ``auto``.
    """

    reader: Any
    out: str
    manifest: Manifest
    device: str
    threads: int
    batch_size: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a part.

    Attributes:
        part: its number.
        count: what was read.
        problem: one line for the user, if it could not be read or written.
        defect: a traceback, if that is a fault of ours.
        worker: host and process.
        began: time in seconds since 1970, when its worker was ready to read.
        ended: when it was written.
    """

    part: int
    count: Count = field(default_factory=Count)
    problem: str = ""
    defect: str = ""
    worker: str = ""
    began: float = 0.0
    ended: float = 0.0


class Worker:
    """Reads parts; it never raises, so that no traceback travels through Ray.

    Args:
        job: see `Job`; the reader is fetched if it is a reference.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._opened: _Opened | None = None

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, list[Any]]]:
        """Numbers of parts → what came of each, as Ray Data hands rows on."""
        for part in batch["part"]:
            values = asdict(self.read(int(part)))
            yield {name: [value] for name, value in (values | values.pop("count")).items()}

    def read(self, part: int) -> Outcome:
        """Read a part and write it, unless it was written before its worker died."""
        worker = f"{socket.gethostname()}:{os.getpid()}"
        try:
            opened = self._opened = self._opened or self._open()
            store, suffix = opened.store, self._job.manifest.suffix
            began = time.time()
            if store.exists(part_name(part, suffix)):
                count = read_count(store, part, suffix)
            else:
                pictures = fetch(opened.plan[part], Columns(**self._job.manifest.columns))
                count = opened.write(part, pictures)
            return Outcome(part, count, worker=worker, began=began, ended=time.time())
        except CrnnError as error:
            return Outcome(part, problem=f"{error} (on {socket.gethostname()})")
        except Exception:
            return Outcome(part, defect=traceback.format_exc())

    def _open(self) -> "_Opened":
        job = self._job
        store = Store(job.out)
        begun = Manifest.read(store)
        if begun is None or begun.run != job.manifest.run:
            raise CrnnError(
                f"this machine does not see the output folder {job.out}: give one that all "
                "machines share, or an object store"
            )
        for given in job.manifest.inputs:
            if "://" not in given and not glob.has_magic(given) and not Path(given).exists():
                raise CrnnError(
                    f"this machine does not see the input {given}: give one that all machines "
                    "share, or an object store"
                )
        silence_opencv()
        reader = job.reader
        if not isinstance(reader, Reader):
            import ray  # noqa: PLC0415

            reader = ray.get(reader)
        recognizer = reader.open(job.device, job.threads, job.batch_size)
        pages = None
        if reader.pages is not None:
            pages = reader.open_detector(job.device, job.threads), reader.pages.reading
        return _Opened(store, Plan(store), recognizer, pages)


@dataclass(frozen=True, slots=True)
class _Opened:
    """Everything that a worker holds from its first part on."""

    store: Store
    plan: Plan
    recognizer: Recognizer
    pages: tuple[Detector, Reading] | None

    def write(self, part: int, pictures: Iterable[Picture]) -> Count:
        """Read the pictures of a part and write it."""
        if self.pages is None:
            return write_part(self.store, part, read_rows(self.recognizer, pictures))
        rows = read_pages(self.recognizer, pictures, *self.pages)
        return write_pages(self.store, part, rows)


def read_rows(recognizer: Recognizer, pictures: Iterable[Picture]) -> Iterator[Row]:
    """Pictures → what each is called and its line, in order; errors are lines too."""
    names, images = _apart(pictures)
    for line in recognizer.stream(images, errors="return"):
        yield names.popleft(), line


def read_pages(
    recognizer: Recognizer, pictures: Iterable[Picture], detector: Detector, options: Reading
) -> Iterator[PageRow]:
    """The same for pictures of pages."""
    names, images = _apart(pictures)
    for page in recognizer.read_pages(images, detector=detector, errors="return", options=options):
        yield names.popleft(), page


def _apart(pictures: Iterable[Picture]) -> tuple[deque[str], Iterator[ImageSource]]:
    """The images, and the names of those that were taken."""
    names: deque[str] = deque()

    def images() -> Iterator[ImageSource]:
        for name, source in pictures:
            names.append(name)
            yield source

    return names, images()
