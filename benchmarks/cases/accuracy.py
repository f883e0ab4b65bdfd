"""Accuracy with intervals: how well a reader reads, and whether batches change it."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from crnn.metrics import Tally, normalize
from crnn_benchmarks.harness import stats
from crnn_benchmarks.harness.datasets import Lines
from crnn_benchmarks.harness.models import Subject, describe, model_file
from crnn_benchmarks.harness.schema import Accuracy, Model
from crnn_benchmarks.harness.stats import Interval
from crnn_benchmarks.harness.timing import Log
from crnn_runtime.errors import CrnnError
from crnn_runtime.recognizer import Recognizer

_CHUNK = 512


@dataclasses.dataclass(frozen=True)
class Read:
    """A reader's texts for a data set, line by line."""

    row: Accuracy
    lines: Lines
    texts: list[str]


def intervals(truths: Sequence[str], readings: Sequence[str]) -> dict[str, Interval]:
    """The figures of `crnn.metrics.Scores`, each with a bootstrap interval over lines."""
    found: dict[str, Interval] = {}
    forms: tuple[tuple[str, Callable[[str], str]], ...] = (("", str), ("_normalized", normalize))
    for ending, form in forms:
        rows = []
        for truth, reading in zip(truths, readings, strict=True):
            tally = Tally()
            tally.add(form(truth), form(reading))
            rows.append((tally.exact, tally.distance, tally.characters, tally.similarity))
        exact, distance, characters, similarity = np.array(rows, np.float64).T
        each = np.ones(len(rows))
        found |= {
            f"exact{ending}": stats.share(exact, each),
            f"cer{ending}": stats.share(distance, characters),
            f"one_minus_ned{ending}": stats.share(similarity, each),
        }
    return found


def measure_accuracy(
    subjects: Sequence[Subject],
    sets: Sequence[Lines],
    log: Log,
    *,
    batch: int = 16,
    threads: int | None = None,
    device: str | None = None,
) -> list[Read]:
    """Read every data set with every reader, one by one and in batches.

    Checkpoints are exported first, behind the parity gate: what is scored is what ships.

    Args:
        subjects: readers that were trained.
        sets: data sets.
        log: told what is going on.
        batch: lines at a time in the second reading.
        threads: of the CPU, None for all.
        device: ``cpu`` or ``cuda``, None for the file's usual one.
    """
    results = []
    for subject in subjects:
        if subject.file is None:
            raise CrnnError(f"{subject.name} has random weights: it can only be timed")
        try:
            file = model_file(subject) if subject.is_checkpoint else Path(subject.file)
            with ExitStack() as opening:  # both, or none
                readers = [
                    opening.enter_context(Recognizer(file, device, threads, batch_size=size))
                    for size in (1, batch)
                ]
                opened = opening.pop_all()
        except CrnnError as error:
            unknown = Model(name=subject.name, arch="unknown", trained=True)
            results += [_failed(unknown, lines, str(error)) for lines in sets]
            log(f"{subject.name}: {error}")
            continue
        with opened:
            model = describe(subject, file, readers[0].card)
            for lines in sets:
                results.append(_read(readers, model, lines, batch, threads or 0))
                log(f"{subject.name} on {lines.data}")
    return results


def _failed(model: Model, lines: Lines, problem: str) -> Read:
    row = Accuracy(
        model=model, backend="runtime", precision="", threads=0, data=lines.data, problem=problem
    )
    return Read(row, lines, [])


def _read(
    readers: Sequence[Recognizer], model: Model, lines: Lines, batch: int, threads: int
) -> Read:
    card = readers[0].card
    single, batched = (_texts(reader, lines.paths) for reader in readers)
    row = Accuracy(
        model=model,
        backend="runtime",
        precision=card.precision,
        threads=threads,
        data=lines.data,
        scores=intervals(lines.texts, [text or "" for text in single]),
        batch=batch,
        differing=sum(a != b for a, b in zip(single, batched, strict=True)),
        outside=sum(not card.alphabet.has(text) for text in lines.texts),
        unread=sum(text is None for text in single),
    )
    return Read(row, lines, [text or "" for text in single])


def _texts(reader: Recognizer, paths: Sequence[str]) -> list[str | None]:
    """Returns the text of each picture; None where the picture cannot be read."""
    texts: list[str | None] = []
    for start in range(0, len(paths), _CHUNK):
        found = reader.read(paths[start : start + _CHUNK], errors="return")
        texts += [None if line.error else line.text for line in found]
    return texts
