"""Latency: backbone × backend × precision × batch × width × threads, stage by stage."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crnn_benchmarks.harness.backends import WAYS_TO_RUN
from crnn_benchmarks.harness.child import ChildError
from crnn_benchmarks.harness.inputs import write_pictures
from crnn_benchmarks.harness.models import Subject
from crnn_benchmarks.harness.schema import STAGES, Latency, Model, Peak
from crnn_benchmarks.harness.stats import Interval, mean, quantiles
from crnn_benchmarks.harness.timing import Log, Plan, Workers, start_worker, timed_by_turns, workers

_WARMUP = 3
_HEIGHT = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One configuration of one model."""

    backend: str
    precision: str
    batch: int
    width: int
    threads: int


def points(
    backends: Sequence[str],
    precisions: Sequence[str],
    batches: Sequence[int],
    widths: Sequence[int],
    threads: Sequence[int],
    *,
    grid: bool = False,
) -> list[Point]:
    """The configurations to measure.

    The first of each is the base; every other value is measured with all else at the
    base. ``grid`` is for all combinations that the backends run.
    """
    axes: tuple[Sequence[Any], ...] = (backends, precisions, batches, widths, threads)
    if grid:
        combinations: list[tuple[Any, ...]] = [()]
        for axis in axes:
            combinations = [(*done, value) for done in combinations for value in axis]
    else:
        base = tuple(axis[0] for axis in axes)
        combinations = [base]
        for place, axis in enumerate(axes):
            combinations += [(*base[:place], value, *base[place + 1 :]) for value in axis[1:]]
    names = [field.name for field in dataclasses.fields(Point)]
    every = [Point(**dict(zip(names, values, strict=True))) for values in combinations]
    # What a backend never runs is no failure, unless nothing else was asked of it.
    asked = set(precisions)
    return [
        point
        for point in every
        if point.precision in WAYS_TO_RUN[point.backend].precisions
        or not asked & set(WAYS_TO_RUN[point.backend].precisions)
    ]


class LatencyCase:
    """A subject at a point, in the worker of its backend."""

    def __init__(
        self, crew: Workers, subject: Subject, point: Point, pictures: Sequence[str]
    ) -> None:
        self.subject, self.point = subject, point
        self.seconds = 0.0
        self.problem: str | None = None
        self.model: Model | None = None
        self.stages: dict[str, list[list[float]]] = {stage: [] for stage in STAGES}
        self.totals: list[list[float]] = []
        self.cpu: list[list[float]] = []
        self._crew, self._pictures = crew, list(pictures)
        self._life = 0

    def asked(self) -> dict[str, Any]:
        """The case, as a worker's ``open`` takes it."""
        return {
            "case": f"{self.subject.name}/{self.point}",
            "subject": self.subject.to_dict(),
            "pictures": self._pictures,
            "warmup": _WARMUP,
            **dataclasses.asdict(self.point),
        }

    def open(self) -> None:
        """Load and warm up; sets `problem` if that fails."""
        try:
            answer = self._crew.ask(self.point.backend, "open", **self.asked())
        except ChildError as error:
            self.problem = str(error)
            return
        self.seconds, self.model = answer["seconds"], Model(**answer["model"])
        self._life = self._crew.life(self.point.backend)

    @property
    def is_open(self) -> bool:
        """False before `open`, and once another case has ended the process of both."""
        return self._life != 0 and self._life == self._crew.life(self.point.backend)

    def run(self, times: int) -> None:
        """See `Timed.run`."""
        if not self.is_open:
            self.open()
            if self.problem is not None:
                return
        case = self.asked()["case"]
        answer = self._crew.ask(self.point.backend, "run", case=case, times=times)
        for stage, rounds in self.stages.items():
            rounds.append([sample[stage] for sample in answer["samples"]])
        self.totals.append([sum(sample.values()) for sample in answer["samples"]])
        self.cpu.append([answer["cpu"]])

    def row(self) -> Latency:
        """Returns the measured row, or the reason why nothing was measured."""
        unknown = Model(
            name=self.subject.name,
            arch=self.subject.arch or "unknown",
            trained=self.subject.file is not None,
        )
        row = Latency(
            model=self.model or unknown, **dataclasses.asdict(self.point), problem=self.problem
        )
        if self.problem is not None or not self.totals:
            return dataclasses.replace(row, problem=self.problem or "no time was left for it")
        return dataclasses.replace(
            row,
            stages={stage: quantiles(rounds) for stage, rounds in self.stages.items()},
            total=quantiles(self.totals),
            cpu=mean(self.cpu),
        )


def measure_latency(
    subjects: Sequence[Subject],
    chosen: Sequence[Point],
    plan: Plan,
    log: Log,
    *,
    all_memory: bool = False,
) -> tuple[list[Latency], list[Peak], Interval | None]:
    """Measure every subject at every point.

    Args:
        subjects: what to measure.
        chosen: see `points`; the first is the base.
        plan: rounds and time.
        log: told what is going on.
        all_memory: peak memory of all rows, not only of those with the base's geometry.

    Returns:
        the rows, what the libraries reach at best, and the yardstick.
    """
    prepare(subjects, chosen, log)
    with TemporaryDirectory() as folder, workers() as crew:
        pictures = {
            width: write_pictures(Path(folder), width, max(point.batch for point in chosen))
            for width in {point.width for point in chosen}
        }
        cases = [
            LatencyCase(crew, subject, point, pictures[point.width][: point.batch])
            for subject in subjects
            for point in chosen
        ]
        _open_all(cases, log)
        yardstick = timed_by_turns(crew, cases, plan, log)
        rows = [case.row() for case in cases]
        crew.close()  # idle models hold memory that the next step wants
        rows = [_with_cost(crew, row, case.subject) for row, case in zip(rows, cases, strict=True)]
        base = chosen[0]
        weighed = [
            all_memory or (case.point.batch, case.point.width) == (base.batch, base.width)
            for case in cases
        ]
        log("peak memory, each in a process of its own")
        rows = _with_memory(rows, cases, weighed)
        peaks = _peaks(crew, rows, log)
    return rows, peaks, yardstick


def _open_all(cases: Sequence[LatencyCase], log: Log) -> None:
    """Open every case; those that lost their process to a later one are opened once more."""
    for number, case in enumerate(cases, start=1):
        case.open()
        what = case.problem or f"{1e3 * case.seconds:.1f} ms"
        log(f"warm-up {number} of {len(cases)}: {case.subject.name} {case.point}: {what}")
    for case in cases:
        if case.problem is None and not case.is_open:
            case.open()


def prepare(subjects: Sequence[Subject], chosen: Iterable[Point], log: Log) -> None:
    """Export what is not in the cache yet, as many at a time as there are processors.

    An export that fails is tried again, and its reason told, when the file is opened.
    """
    wanted = {p.precision for p in chosen if p.backend.startswith("onnxruntime")}
    jobs = [(subject, precision) for subject in subjects for precision in ("fp32",) if wanted]

    def export(subject: Subject) -> None:
        with start_worker() as child:
            for precision in sorted(wanted, key=lambda name: name != "fp32"):
                try:
                    child.ask("prepare", subject=subject.to_dict(), precision=precision)
                except ChildError as error:
                    log(f"{subject.name} {precision}: {error}")
        log(f"exported {subject.name}")

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(export, [subject for subject, _ in jobs]))


def _with_cost(crew: Workers, row: Latency, subject: Subject) -> Latency:
    """Operations and traffic on paper, where PyTorch has the architecture."""
    if row.problem is not None:
        return row
    alphabet = subject.alphabet if subject.file is None else "0" * (row.model.classes - 1)
    paper = Subject(name="paper", arch=row.model.arch, alphabet=alphabet)
    try:
        found = crew.ask("paper", "cost", subject=paper.to_dict(), batch=row.batch, width=row.width)
    except ChildError:  # a peer's architecture
        return row
    return dataclasses.replace(row, flop=found["flop"], traffic=found["traffic"])


def _with_memory(
    rows: Sequence[Latency], cases: Sequence[LatencyCase], weighed: Sequence[bool]
) -> list[Latency]:
    def weigh(row: Latency, case: LatencyCase) -> Latency:
        with start_worker() as child:
            try:
                child.ask("open", **case.asked())
                return dataclasses.replace(row, memory=child.ask("memory")["bytes"])
            except ChildError as error:
                return dataclasses.replace(row, problem=f"alone in a process: {error}")

    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        return list(
            pool.map(
                lambda row, case, wanted: (
                    weigh(row, case) if wanted and row.problem is None else row
                ),
                rows, cases, weighed,
            )
        )  # fmt: skip


def _peaks(crew: Workers, rows: Sequence[Latency], log: Log) -> list[Peak]:
    """The roofs under which the rows stand."""
    asked = {
        (library, row.threads)
        for row in rows
        if row.problem is None and (library := WAYS_TO_RUN[row.backend].library)
    }
    found = []
    for library, threads in sorted(asked):
        log(f"the best that {library} does with {threads} threads")
        try:
            found.append(Peak(**crew.ask("roof", "peak", library=library, threads=threads)))
        except ChildError as error:
            log(f"{library}: {error}")
    return found
