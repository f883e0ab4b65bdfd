"""Two reports of one command: what moved, and what is only noise."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from crnn_benchmarks.harness.schema import SCORES, Model, Report, ratio
from crnn_benchmarks.harness.stats import Interval, Z
from crnn_benchmarks.report.html import page, tables_html
from crnn_benchmarks.report.markdown import table_text
from crnn_benchmarks.report.tables import NONE, Table, name, number
from crnn_runtime.errors import CrnnError


@dataclasses.dataclass(frozen=True)
class Change:
    """One figure in two reports.

    Attributes:
        what: configuration and figure.
        before: in the first.
        after: in the second.
        ratio: after / before, None for figures of two machines and for accuracies.
        moved: beyond what noise explains.
    """

    what: str
    before: Interval
    after: Interval
    ratio: float | None
    moved: bool


def compare(a: Report, b: Report) -> list[Change]:
    """Every figure that both reports have.

    A time has moved if the intervals do not meet, and still do not once both are
    divided by the yardstick of their run, which says how fast the machine was just
    then. An accuracy has moved if the intervals do not meet. Figures of time from two
    machines stand side by side, without ratio or verdict.
    """
    same_machine = a.machine.id == b.machine.id
    changes = []
    before, after = dict(_times(a)), dict(_times(b))
    for what in before.keys() & after.keys():
        old, new = before[what], after[what]
        if same_machine:
            change = ratio(new, b.machine, old, a.machine)
            moved = not old.overlaps(new) and _beyond_yardstick(old, new, a, b)
            changes.append(Change(what, old, new, change, moved))
        else:
            changes.append(Change(what, old, new, None, moved=False))
    before, after = dict(_accuracies(a)), dict(_accuracies(b))
    for what in before.keys() & after.keys():
        old, new = before[what], after[what]
        changes.append(Change(what, old, new, None, not old.overlaps(new)))
    return sorted(changes, key=lambda change: change.what)


def _beyond_yardstick(old: Interval, new: Interval, a: Report, b: Report) -> bool:
    if a.yardstick is None or b.yardstick is None:
        return True
    drift = math.log(b.yardstick.value / a.yardstick.value)
    error = math.sqrt(sum(_error(value) ** 2 for value in (old, new, a.yardstick, b.yardstick)))
    return abs(math.log(new.value / old.value) - drift) > Z * error


def _error(value: Interval) -> float:
    """Standard error of the logarithm."""
    low, high = value.bounds()
    return math.log(high / low) / (2 * Z) if low > 0 else 0.0


def _times(report: Report) -> Iterator[tuple[str, Interval]]:
    """Figures that depend on the machine, by configuration."""
    for row in report.latency:
        where = f"{row.backend} {row.precision}, {row.batch} × {row.width}, threads {row.threads}"
        if row.total is not None and row.cpu is not None:
            yield f"{_of(row.model)}, {where}: p50 ms", row.total.p50.scaled(1e3)
            yield f"{_of(row.model)}, {where}: CPU ms", row.cpu.scaled(1e3)
    for reading in report.throughput:
        where = f"{reading.backend} {reading.precision}, batch {reading.batch}"
        if reading.rate is not None:
            what = f"{_of(reading.model)}, {where}, threads {reading.threads}, {reading.data}"
            yield f"{what}: pictures/s", reading.rate
    for scored in report.accuracy:
        if scored.cpu is not None:
            what = f"{_of(scored.model)}, {scored.data}, threads {scored.threads}"
            yield f"{what}: CPU ms a line", scored.cpu.scaled(1e3)
    for step in report.training:
        if step.rate is not None:
            what = f"{step.model.arch}, training {step.precision}, {step.batch} × {step.width}"
            yield f"{what}, threads {step.threads}: lines/s", step.rate


def _accuracies(report: Report) -> Iterator[tuple[str, Interval]]:
    """Figures that depend on reader and data alone."""
    for row in report.accuracy:
        for score, value in row.scores.items():
            # The hash: a data set that changed is another one, whatever its name.
            data = f"{row.data} ({row.data.sha256[:8]})"
            yield f"{_of(row.model)} {row.precision}, {data}: {score}", value


def _of(model: Model) -> str:
    return name(model)


def joined(reports: Sequence[Report]) -> Report:
    """Several reports of one machine as one, so that their figures share a page.

    Raises:
        CrnnError: they are of two machines.
    """
    first = reports[0]
    for other in reports[1:]:
        if other.machine.id != first.machine.id:
            raise CrnnError(
                f"reports of two machines ({first.machine.id} and {other.machine.id}) cannot be "
                "joined: their times must not meet in one plot"
            )
    return dataclasses.replace(
        first,
        command="; ".join(report.command for report in reports),
        commit=", ".join(dict.fromkeys(report.commit for report in reports)),
        yardstick=None,  # each had its own
        peaks=tuple(dict.fromkeys(peak for report in reports for peak in report.peaks)),
        latency=tuple(row for report in reports for row in report.latency),
        throughput=tuple(row for report in reports for row in report.throughput),
        accuracy=tuple(row for report in reports for row in report.accuracy),
        training=tuple(row for report in reports for row in report.training),
        notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
    )


def comparison(a: Report, b: Report, names: tuple[str, str]) -> tuple[Table, list[bool]]:
    """The changes as a table, and which of its rows moved."""
    changes = compare(a, b)
    rows = [
        (
            change.what,
            number(change.before, _digits(change)),
            number(change.after, _digits(change)),
            NONE if change.ratio is None else f"{change.ratio:.2f} ×",
            "moved" if change.moved else "",
        )
        for change in changes
    ]
    notes = [
        f"{names[0]}: {a.created}, commit {a.commit}, load {a.machine.load:.1f}",
        f"{names[1]}: {b.created}, commit {b.commit}, load {b.machine.load:.1f}",
        "Moved: the 95 % intervals do not meet, nor after division by each run's yardstick.",
    ]
    if a.machine.id != b.machine.id:
        notes.append(
            f"Two machines ({a.machine.cpu}, {a.machine.id}; {b.machine.cpu}, {b.machine.id}): "
            "no ratio of their times is given."
        )
    head = ("figure", names[0], names[1], "ratio", "verdict")
    title = f"{sum(change.moved for change in changes)} of {len(changes)} figures moved"
    if not changes:
        title = "No figure in common: the readers, data sets, lines or settings differ"
    return Table(title, head, rows, tuple(notes)), [change.moved for change in changes]


def _digits(change: Change) -> int | None:
    return 3 if change.what.rpartition(": ")[2] in SCORES else None


def comparison_markdown(a: Report, b: Report, names: tuple[str, str]) -> str:
    """The comparison as Markdown."""
    return table_text(comparison(a, b, names)[0]) + "\n"


def comparison_html(a: Report, b: Report, names: tuple[str, str]) -> str:
    """The comparison as a page."""
    table, moved = comparison(a, b, names)
    return page(f"crnn-bench report {names[0]} {names[1]}", tables_html([table], [moved]))
