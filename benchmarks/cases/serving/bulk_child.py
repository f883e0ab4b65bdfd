"""One of the processes that `crnn_benchmarks.cases.serving.bulk` compares."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from crnn_runtime import Decoding, Recognizer
from crnn_serve.bulk.cluster import Workers, quieten, ray_cluster, run_parts
from crnn_serve.bulk.model import pack
from crnn_serve.bulk.run import begin
from crnn_serve.bulk.sources import Columns
from crnn_serve.bulk.worker import Job

_BATCH = 256  # rows that the naive way hands to a worker at once


@dataclass(frozen=True, slots=True)
class Share:
    """The work of a worker: lines, and the seconds since 1970 from its first to its last."""

    worker: str
    lines: int
    began: float
    ended: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` gave."""
        worker, lines, began, ended = text.split()
        return cls(worker, int(lines), float(began), float(ended))

    def __str__(self) -> str:
        return f"{self.worker} {self.lines} {self.began!r} {self.ended!r}"


def bare(model: str, files: str) -> Iterator[Share]:
    """`Recognizer.stream` over a list of files, with nothing around it."""
    paths = Path(files).read_text().split("\n")
    with Recognizer(model, threads=1) as recognizer:
        began = time.time()
        count = sum(line.error is None for line in recognizer.stream(paths, errors="return"))
        yield Share(str(os.getpid()), count, began, time.time())


def ray(model: str, folder: str, out: str, lines_per_part: str) -> Iterator[Share]:
    """``crnn-bulk`` with two workers of one thread."""
    reader = pack(model, Decoding(), None)
    begun = begin(reader, [folder], out, Columns(), int(lines_per_part))
    workers = Workers(address=None, number=2, threads=1, gpus=0)
    job = Job(
        reader=reader, out=out, manifest=begun.manifest, device="cpu", threads=1, batch_size=None
    )
    with ray_cluster(workers, len(begun.missing), 0) as granted:
        done = list(run_parts(job, begun.missing, granted))
    for outcome in done:
        yield Share(outcome.worker, outcome.count.lines, outcome.began, outcome.ended)


class Reading:
    """Reads bytes that Ray Data hands over."""

    def __init__(self, model: str) -> None:
        self._recognizer = Recognizer(model, threads=1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Pictures → texts, with when."""
        began = time.time()
        lines = self._recognizer.read(batch["bytes"].tolist(), errors="return")
        count = len(lines)
        return {
            "path": batch["path"],
            "text": [line.text for line in lines],
            "worker": [str(os.getpid())] * count,
            "began": [began] * count,
            "ended": [time.time()] * count,
        }


def naive(model: str, folder: str, out: str, _: str) -> Iterator[Share]:
    """As Ray Data's guide has it: files are read by tasks, bytes travel, Parquet is written."""
    workers = Workers(address=None, number=3, threads=1, gpus=0)  # one for what reads files
    with ray_cluster(workers, 3, 1_000_000_000):
        import ray.data  # noqa: PLC0415 (reads its environment when it is imported)

        quieten(ray.data.DataContext.get_current())
        data = ray.data.read_binary_files(folder, include_paths=True).map_batches(
            Reading, fn_constructor_args=(model,), batch_size=_BATCH, num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=2),
        )  # fmt: skip
        data.write_parquet(out)
    import pyarrow.parquet as pq  # noqa: PLC0415 (the extra)

    for part in sorted(Path(out).glob("*.parquet")):
        columns = pq.read_table(part, columns=["worker", "began", "ended"]).to_pydict()
        for batch, count in Counter(zip(*columns.values(), strict=True)).items():
            yield Share(batch[0], count, *batch[1:])


if __name__ == "__main__":
    WAYS: dict[str, Callable[..., Iterator[Share]]] = {"bare": bare, "ray": ray, "naive": naive}
    for share in WAYS[sys.argv[1]](*sys.argv[2:]):
        print(share)  # noqa: T201
