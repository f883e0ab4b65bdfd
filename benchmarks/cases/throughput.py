"""Throughput: a folder of picture files to text, as an application reads them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from crnn_benchmarks.cases.latency import Point, prepare
from crnn_benchmarks.harness.child import ChildError
from crnn_benchmarks.harness.models import Subject
from crnn_benchmarks.harness.schema import Model, Throughput
from crnn_benchmarks.harness.stats import Interval, mean, median
from crnn_benchmarks.harness.timing import Log, Plan, Workers, timed_by_turns, workers


class ThroughputCase:
    """A reader at a point, reading all pictures in the worker of its backend."""

    def __init__(
        self, crew: Workers, subject: Subject, point: Point, pictures: Sequence[str]
    ) -> None:
        self.subject, self.point = subject, point
        self.seconds = 0.0
        self.problem: str | None = None
        self.model = Model(
            name=subject.name, arch=subject.arch or "unknown", trained=subject.file is not None
        )
        self._crew, self._pictures = crew, list(pictures)
        self._rates: list[list[float]] = []
        self._cpu: list[list[float]] = []

    def _ask(self) -> dict[str, Any]:
        return self._crew.ask(
            self.point.backend,
            "throughput",
            subject=self.subject.to_dict(),
            pictures=self._pictures,
            **dataclasses.asdict(self.point),
        )

    def open(self) -> None:
        """Load and read once; sets `problem` if that fails."""
        try:
            answer = self._ask()
        except ChildError as error:
            self.problem = str(error)
            return
        self.seconds, self.model = answer["seconds"], Model(**answer["model"])

    def run(self, times: int) -> None:
        """See `Timed.run`."""
        answers = [self._ask() for _ in range(times)]
        count = len(self._pictures)
        self._rates.append([count / answer["seconds"] for answer in answers])
        self._cpu.append([answer["cpu"] / count for answer in answers])

    def row(self, data: str) -> Throughput:
        """Returns the measured row, or the reason why nothing was measured."""
        row = Throughput(
            model=self.model,
            backend=self.point.backend,
            precision=self.point.precision,
            batch=self.point.batch,
            threads=self.point.threads,
            data=data,
            pictures=len(self._pictures),
            problem=self.problem,
        )
        if self.problem is not None or not self._rates:
            return dataclasses.replace(row, problem=self.problem or "no time was left for it")
        return dataclasses.replace(row, rate=median(self._rates), cpu=mean(self._cpu))


def measure_throughput(
    subjects: Sequence[Subject],
    chosen: Sequence[Point],
    data: str,
    pictures: Sequence[str],
    plan: Plan,
    log: Log,
) -> tuple[list[Throughput], Interval | None]:
    """Read all pictures with every subject at every point, by turns.

    Returns:
        the rows and the yardstick.
    """
    prepare(subjects, chosen, log)
    with workers() as crew:
        cases = [ThroughputCase(crew, s, point, pictures) for s in subjects for point in chosen]
        for case in cases:
            case.open()
            log(f"warm: {case.subject.name}")
        yardstick = timed_by_turns(crew, cases, plan, log)
        return [case.row(data) for case in cases], yardstick
