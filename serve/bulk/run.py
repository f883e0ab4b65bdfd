"""One run: plan what is new, leave out what is written, have the rest read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crnn_runtime.errors import CrnnError
from crnn_serve.bulk.cluster import Workers, ray_cluster, run_parts
from crnn_serve.bulk.manifest import MANIFEST, Manifest
from crnn_serve.bulk.model import Reader
from crnn_serve.bulk.parts import Count, finished_parts, read_counts
from crnn_serve.bulk.plan import Plan, to_parts, write_plan
from crnn_serve.bulk.progress import progress
from crnn_serve.bulk.sources import Columns, list_items
from crnn_serve.bulk.store import Store
from crnn_serve.bulk.worker import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An output folder whose plan is written.

    Attributes:
        store: the folder.
        manifest: what it was begun with.
        written: parts that need not be read again.
    """

    store: Store
    manifest: Manifest
    written: frozenset[int]

    @property
    def missing(self) -> list[int]:
        """Parts that are still to be read."""
        return sorted(set(range(self.manifest.parts)) - self.written)


def begin(
    reader: Reader, inputs: Sequence[str], out: str, columns: Columns, lines_per_part: int
) -> Begun:
    """The output folder: planned anew, or as an earlier run left it.

    Raises:
        CrnnError: an input is missing or empty, the folder cannot be written, or was
            begun with something else.
    """
    asked = Manifest.of(reader, inputs, columns, lines_per_part)
    store = Store(out)
    names = store.names()
    written = frozenset(finished_parts(names))
    begun = Manifest.read(store) if MANIFEST in names else None
    if begun is not None and (written or asked.continues(begun)):
        asked.check_continues(begun, out)
        store.sweep()
        return Begun(store=store, manifest=begun, written=written)
    if written:
        raise CrnnError(f"{out} holds parts and no {MANIFEST}: give another folder")
    items = list_items(asked.inputs, columns, lines_per_part)
    parts = write_plan(store, to_parts(items, lines_per_part))
    if not parts:
        raise CrnnError(f"{', '.join(inputs)}: no picture to read")
    manifest = replace(asked, parts=parts)
    manifest.write(store)
    return Begun(store=store, manifest=manifest, written=frozenset())


def read_missing(begun: Begun, reader: Reader, workers: Workers, batch_size: int | None) -> None:
    """Have all parts read that are not written.

    Raises:
        CrnnError: one that cannot be mended by reading on; what was written is kept.
        RuntimeError: a fault of ours, with the worker's traceback.
    """
    missing = begun.missing
    if not missing:
        return
    job = Job(
        reader=reader,
        out=begun.store.address,
        manifest=begun.manifest,
        device="cuda" if workers.gpus else "cpu",
        threads=workers.threads,
        batch_size=batch_size,
    )
    size = sum(map(len, reader.files.values()))
    with (
        ray_cluster(workers, len(missing), size) as granted,
        progress(begun.manifest.parts, len(begun.written)) as advance,
    ):
        for outcome in run_parts(job, missing, granted):
            if outcome.defect:
                raise RuntimeError(f"part {outcome.part}:\n{outcome.defect}")
            if outcome.problem:
                raise CrnnError(outcome.problem)
            advance(outcome.count)
    begun.store.sweep()


def result(begun: Begun) -> Count:
    """Counts the rows that the folder holds now that all was read.

    Raises:
        CrnnError: parts are missing.
    """
    written = finished_parts(begun.store.names())
    missing = sorted(set(range(begun.manifest.parts)) - written)
    if missing:
        plan = Plan(begun.store)
        first = plan[missing[0]][0].source
        raise CrnnError(
            f"{len(missing)} of {begun.manifest.parts} parts are missing, because their workers "
            f"died several times (want of memory?); the first begins with {first}: the same "
            "command tries them again"
        )
    return read_counts(begun.store, written, begun.manifest.suffix)
