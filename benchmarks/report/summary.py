"""Sums up a report: a title and a few sentences, made of its figures."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from crnn_benchmarks.harness.schema import Accuracy, DataSet, Latency, Machine, Measured, Report
from crnn_benchmarks.harness.stats import Interval
from crnn_benchmarks.report.front import SCORE, Point, data_sets, front_of, points
from crnn_benchmarks.report.tables import name, number, percent, way

Row = TypeVar("Row", bound=Measured)


def title(report: Report) -> str:
    """Returns a title that names in a few words what was measured."""
    parts = [
        f"{_counted(rows, what)}: {question}"
        for rows, what, question in (
            (report.accuracy, "reader", "how many lines are read right"),
            (report.latency, "model", "how long a line takes"),
            (report.throughput, "reader", "pictures a second"),
            (report.training, "network", "the speed of training"),
        )
        if _measured(rows)
    ]
    return "; ".join(parts) or "Nothing was measured"


def summary(report: Report) -> list[str]:
    """Sentences: what was compared, on what machine, and the answer."""
    machine = report.machine
    where = f"It was measured on {report.created[:10]} on {machine_text(machine)}" + (
        ", beside other work." if machine.load > machine.cpus / 2 else ", which did little else."
    )
    return [*_compared(report), where, *_answers(report)]


def machine_text(machine: Machine) -> str:
    """A machine in a line."""
    gpus = ", ".join(machine.gpus) or "no GPU"
    return f"{machine.cpu}, {machine.cpus} CPUs, {machine.memory / 2**30:.0f} GiB, {gpus}"


def _measured(rows: Iterable[Measured]) -> list[str]:
    return list(dict.fromkeys(name(row.model) for row in rows if row.problem is None))


def _counted(rows: Sequence[Measured], what: str) -> str:
    count = len(_measured(rows))
    return f"{count} {what}{'s' if count > 1 else ''}"


def _compared(report: Report) -> list[str]:
    found = []
    if names := _measured(report.accuracy):
        sets = [
            f"{data.name} ({str(data).removeprefix(f'{data.name}, ')})"
            for data in dict.fromkeys(row.data for row in report.accuracy)
        ]
        alone = ", one at a time, by turns" if data_sets(report) else ""
        found.append(f"{_listed(names)} read {_listed(sets)}{alone}.")
    if names := _measured(report.latency):
        ways = dict.fromkeys(way(row) for row in report.latency if row.problem is None)
        found.append(f"{_listed(names)} were timed from a picture's file to its text, by "
                     f"{_listed(ways)}.")  # fmt: skip
    if names := _measured(report.throughput):
        data = dict.fromkeys(f"{row.pictures} pictures of {row.data}" for row in report.throughput)
        found.append(f"{_listed(names)} read {_listed(data)}, as an application does.")
    if names := _measured(report.training):
        found.append(f"{_listed(names)} took steps of training.")
    return found


def _answers(report: Report) -> list[str]:
    found = []
    sets = data_sets(report)
    if shown := points(report, sets):
        found.append(_front_answer(shown, len(sets)))
    elif scored := [row for row in report.accuracy if row.scores]:
        found.append(_best_of_each(scored))
    rows = [row for row in report.latency if row.problem is None and row.total is not None]
    if rows:
        base = [row for row in rows if _shape(row) == _shape(rows[0])]
        found.append(
            f"A batch of {base[0].batch}, {base[0].width} pixels wide, takes "
            + _ends(base, lambda row: f"{name(row.model)} ({way(row)})", _median, "ms", 1e3)
        )
    rates = [row for row in report.throughput if row.rate is not None]
    if rates:
        found.append("A second is enough for " + _ends(
            rates, lambda row: f"{name(row.model)} at batch {row.batch}",
            lambda row: row.rate or Interval(0.0), "pictures", 1, most=True,
        ))  # fmt: skip
    steps = [row for row in report.training if row.rate is not None]
    if steps:
        found.append("A second of training is enough for " + _ends(
            steps, lambda row: name(row.model), lambda row: row.rate or Interval(0.0), "lines", 1,
            most=True,
        ))  # fmt: skip
    return found


def _front_answer(shown: Sequence[Point], sets: int) -> str:
    best = max(shown, key=lambda point: point.right.value)
    alike = [p.name for p in shown if p is not best and p.right.overlaps(best.right)]
    quick = min(shown, key=lambda point: point.time.value)
    share = quick.time.value / best.time.value
    parts = [
        f"{best.name} reads most lines exactly right, {percent(best.right)} % after normalisation"
        + (f" on average of the {sets} sets" if sets > 1 else "")
    ]
    if alike:
        parts.append(f"the intervals of {_listed(alike)} meet its own")
    if quick is not best:
        parts.append(
            f"of those that have the characters of the lines, {quick.name} is the "
            f"quickest and reads {percent(quick.right)} % in {share:.2f} of its time"
        )
    if len(shown) > 1:
        parts.append(f"none beats {_listed(p.name for p in front_of(shown))} in both")
    return "; ".join(parts) + "."


def _best_of_each(rows: Sequence[Accuracy]) -> str:
    best: dict[DataSet, Accuracy] = {}
    for row in sorted(rows, key=lambda row: row.scores[SCORE].value, reverse=True):
        best.setdefault(row.data, row)
    found = [
        f"by {name(best[data].model)} on {data.name} ({percent(best[data].scores[SCORE])} %)"
        for data in dict.fromkeys(row.data for row in rows)
    ]
    return f"Most lines are read exactly right, after normalisation, {_listed(found)}."


def _shape(row: Latency) -> tuple[int, int, int]:
    return row.batch, row.width, row.threads


def _median(row: Latency) -> Interval:
    return row.total.p50 if row.total else Interval(0.0)


def _ends(
    rows: Sequence[Row], called: Callable[[Row], str], figure: Callable[[Row], Interval],
    unit: str, factor: float, *, most: bool = False,
) -> str:  # fmt: skip
    """The best and the worst of figures."""
    ordered = sorted(rows, key=lambda row: figure(row).value, reverse=most)
    ends = [ordered[0], ordered[-1]] if len(ordered) > 1 else [ordered[0]]
    shown = [f"{number(figure(row).scaled(factor))} {unit} with {called(row)}" for row in ends]
    return " and ".join(shown) + "."


def _listed(names: Iterable[str]) -> str:
    """``a, b and c``; the number of many."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
