"""Rows of a report as tables of text, for Markdown and HTML alike."""

import dataclasses
from collections.abc import Iterable, Sequence

from crnn_benchmarks.harness.backends import WAYS_TO_RUN
from crnn_benchmarks.harness.schema import (
    STAGES,
    Accuracy,
    Latency,
    Model,
    Report,
    Throughput,
    Training,
)
from crnn_benchmarks.harness.stats import Interval

NONE = "–"
RANDOM_WEIGHTS = "Random weights: these models read nothing, their rows are for latency only."


@dataclasses.dataclass(frozen=True)
class Table:
    """A heading, what must be known, and cells of text.

    Attributes:
        title: of the table.
        head: of the columns.
        rows: cells.
        notes: below it.
    """

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()


def tables(report: Report) -> list[Table]:
    """All tables that a report fills; rows that failed are in one of their own."""
    found: list[Table] = []
    if latency := [row for row in report.latency if row.problem is None]:
        found += _latency(latency, report)
    if throughput := [row for row in report.throughput if row.problem is None]:
        found += _throughput(throughput)
    if accuracy := [row for row in report.accuracy if row.problem is None]:
        found += _accuracy(accuracy)
    if training := [row for row in report.training if row.problem is None]:
        found += _training(training)
    return [_filled(table) for table in [*found, *_problems(report)]]


def _filled(table: Table) -> Table:
    """Without the columns in which no row has anything."""
    kept = [n for n in range(len(table.head)) if any(row[n] != NONE for row in table.rows)]
    rows = [tuple(row[n] for n in kept) for row in table.rows]
    return dataclasses.replace(table, head=tuple(table.head[n] for n in kept), rows=rows)


def _latency(rows: Sequence[Latency], report: Report) -> list[Table]:
    notes = _weights(row.model for row in rows)
    times = Table(
        "Latency of a batch: picture files to text",
        (
            "model", "backend", "precision", "batch", "width", "threads", "runs", "p50 ms",
            "p95 ms", "p99 ms", "CPU ms a line", "peak MB", "file MB",
        ),
        [
            (
                *_where(row),
                str(row.total.runs),
                milliseconds(row.total.p50),
                milliseconds(row.total.p95),
                milliseconds(row.total.p99),
                milliseconds(row.cpu.scaled(1 / row.batch)),
                f"{row.memory / 1e6:.0f}" if row.memory else NONE,
                f"{row.model.size / 1e6:.1f}" if row.model.size else NONE,
            )
            for row in rows
            if row.total is not None and row.cpu is not None
        ],
        (
            *notes,
            "Brackets are 95 % intervals; p95 needs 20 runs and p99 100. Peak memory is of a "
            "process that does nothing else.",
        ),
    )  # fmt: skip
    stages = Table(
        "Stages, median ms a batch",
        ("model", "backend", "precision", "batch", "width", "threads", *STAGES),
        [
            (*_where(row), *(f"{1e3 * row.stages[stage].p50.value:.2f}" for stage in STAGES))
            for row in rows
            if row.stages
        ],
        notes,
    )
    return [times, stages, *_roofline(rows, report)]


def _where(row: Latency) -> tuple[str, ...]:
    numbers = (row.batch, row.width, row.threads)
    return (name(row.model), _backend(row), row.precision, *map(str, numbers))


def way(row: Latency) -> str:
    """With what it ran."""
    return f"{_backend(row)} {row.precision}"


def _backend(row: Latency) -> str:
    return WAYS_TO_RUN[row.backend].title if row.backend in WAYS_TO_RUN else row.backend


def _roofline(rows: Sequence[Latency], report: Report) -> list[Table]:
    cells = []
    for row in rows:
        roof = roof_of(row, report)
        if roof is None or not row.flop:
            continue
        achieved = row.flop / row.stages["infer"].p50.value
        at_best, attainable = roof
        cells.append(
            (
                *_where(row),
                f"{row.flop / row.batch / 1e9:.2f}",
                f"{row.flop / row.traffic:.1f}",
                f"{achieved / 1e9:.1f}",
                f"{achieved / at_best:.0%}",
                f"{achieved / attainable:.0%}",
            )
        )
    if not cells:
        return []
    peaks = "; ".join(
        f"{peak.library}, {peak.threads} threads: {peak.flops / 1e9:.0f} GFLOP/s, "
        f"{peak.bandwidth / 1e9:.1f} GB/s"
        for peak in report.peaks
    )
    head = (
        "model", "backend", "precision", "batch", "width", "threads", "GFLOP a line",
        "FLOP a byte", "GFLOP/s", "of peak", "of roofline",
    )  # fmt: skip
    notes = (
        f"Peaks measured here: {peaks} (best of matrix product and convolution; memory by one "
        "thread). Bytes are those of layers that are not fused; a library that fuses them may "
        "exceed that roof. Medians on a busy machine hold the time that others took.",
        *_weights(row.model for row in rows),
    )
    return [Table("Roofline: achieved arithmetic, float32", head, cells, notes)]


def roof_of(row: Latency, report: Report) -> tuple[float, float] | None:
    """(peak, roofline at this row's intensity) in FLOP/s; None off the measured roofs."""
    backend = WAYS_TO_RUN.get(row.backend)
    if backend is None or row.precision != "fp32" or not row.traffic:
        return None
    for peak in report.peaks:
        if (peak.library, peak.threads) == (backend.library, row.threads):
            return peak.flops, min(peak.flops, peak.bandwidth * row.flop / row.traffic)
    return None


def _throughput(rows: Sequence[Throughput]) -> list[Table]:
    head = ("model", "backend", "precision", "batch", "threads", "data", "pictures",
            "pictures/s", "CPU ms each")  # fmt: skip
    cells = [
        (
            name(row.model), row.backend, row.precision, str(row.batch), str(row.threads),
            row.data, str(row.pictures), number(row.rate), milliseconds(row.cpu),
        )
        for row in rows
    ]  # fmt: skip
    return [
        Table("Throughput: picture files to text", head, cells, _weights(r.model for r in rows))
    ]


def _accuracy(rows: Sequence[Accuracy]) -> list[Table]:
    found = []
    for data in dict.fromkeys(row.data for row in rows):
        own = [row for row in rows if row.data == data]
        head = ("reader", "precision", "exact %", "normalised %", "CER %", "normalised %", "1-NED",
                "normalised", "differs in batches", "ms a line", "CPU ms a line",
                "time, first reader = 1", "peak MB", "file MB")  # fmt: skip
        cells = [_accuracy_row(row) for row in own]
        notes = ["Brackets are 95 % bootstrap intervals over the lines."]
        for row in own:
            if row.outside:
                notes.append(
                    f"{row.model.name} lacks a character of {row.outside} of the {data.lines} "
                    "lines, which count as wrong."
                )
            if row.unread:
                notes.append(f"{row.model.name} could not read {row.unread} pictures: wrong.")
        found.append(Table(f"Accuracy on {data}", head, cells, tuple(notes)))
    return found


def _accuracy_row(row: Accuracy) -> tuple[str, ...]:
    scores = row.scores
    differs = f"{row.differing} of {row.data.lines} at {row.batch}" if row.batch else NONE
    return (
        name(row.model),
        row.precision or NONE,
        percent(scores["exact"]),
        percent(scores["exact_normalized"]),
        percent(scores["cer"]),
        percent(scores["cer_normalized"]),
        number(scores["one_minus_ned"], 3),
        number(scores["one_minus_ned_normalized"], 3),
        differs,
        milliseconds(row.seconds),
        milliseconds(row.cpu),
        number(row.ratio),
        f"{row.memory / 1e6:.0f}" if row.memory else NONE,
        f"{row.model.size / 1e6:.1f}" if row.model.size else NONE,
    )


def _training(rows: Sequence[Training]) -> list[Table]:
    head = ("network", "precision", "batch", "width", "threads", "classes", "lines/s",
            "CPU ms a line")  # fmt: skip
    cells = [
        (
            row.model.arch, row.precision, str(row.batch), str(row.width), str(row.threads),
            str(row.model.classes), number(row.rate), milliseconds(row.cpu),
        )
        for row in rows
    ]  # fmt: skip
    note = "Forward, CTC, backward and optimiser, from random weights; no loading of lines."
    return [Table("Training steps", head, cells, (note,))]


def _problems(report: Report) -> list[Table]:
    """Lists the rows without figures, with the reasons; alike reasons are one row."""
    seen: dict[tuple[str, str], list[str]] = {}
    rows: tuple[Latency | Throughput | Accuracy | Training, ...]
    rows = (*report.latency, *report.throughput, *report.accuracy, *report.training)
    for row in rows:
        if row.problem is not None:
            what = "training" if isinstance(row, Training) else row.backend
            seen.setdefault((what, row.problem), []).append(row.model.name)
    if not seen:
        return []
    cells = [
        (what, ", ".join(dict.fromkeys(names)), problem) for (what, problem), names in seen.items()
    ]
    return [Table("Not measured", ("backend", "models", "what happened"), cells)]


def _weights(models: Iterable[Model]) -> tuple[str, ...]:
    return () if all(model.trained for model in models) else (RANDOM_WEIGHTS,)


def name(model: Model) -> str:
    """A model's name, marked if its weights are random."""
    return model.name if model.trained else f"{model.name}\u2009*"


def milliseconds(seconds: Interval | None) -> str:
    """``12.3 [11.9, 12.8]``."""
    return number(seconds.scaled(1e3) if seconds else None)


def percent(share: Interval) -> str:
    """``90.4 [85.4, 94.4]``."""
    return number(share.scaled(100), 1)


def number(value: Interval | None, digits: int | None = None) -> str:
    """A figure and its interval with as many digits as it bears."""
    if value is None:
        return NONE
    if digits is None:
        digits = 0 if value.value >= 100 else 1 if value.value >= 10 else 2
    text = f"{value.value:.{digits}f}"
    if value.low is None or value.high is None:
        return text
    return f"{text} [{value.low:.{digits}f}, {value.high:.{digits}f}]"
