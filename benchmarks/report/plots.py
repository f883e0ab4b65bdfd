"""Plots of a report, as SVG to put into a page; drawn by matplotlib, text stays text."""

from collections.abc import Iterable, Sequence

import matplotlib as mpl

from crnn_benchmarks.harness.schema import STAGES, Accuracy, Latency, Report
from crnn_benchmarks.report.drawing import (
    STYLE,
    Plot,
    errors_of,
    legend_below,
    look_of,
    new_figure,
    plain_ticks,
    svg_of,
)
from crnn_benchmarks.report.front import SCORE, front_plots, reads
from crnn_benchmarks.report.palette import INK, SERIES
from crnn_benchmarks.report.tables import name, roof_of, way


def plots(report: Report) -> list[Plot]:
    """All plots for which the report has rows, each the answer to one question."""
    rows = [row for row in report.latency if row.problem is None]
    with mpl.rc_context(STYLE):
        found = [
            *front_plots(report),
            _untimed(report.accuracy),
            _overview(rows),
            _stages(rows),
            _against(rows, "width", "How does the time of a line grow with its width?"),
            _against(rows, "batch", "Do larger batches save time?"),
            _roofline(rows, report),
        ]
    return [plot for plot in found if plot is not None]


def _untimed(rows: Sequence[Accuracy]) -> Plot | None:
    """Accuracies for which no time is known, a row for each reader and data set."""
    shown = [row for row in rows if row.scores and row.cpu is None and reads(row)]
    if not shown:
        return None
    sets = list(dict.fromkeys(row.data for row in shown))
    shown.sort(key=lambda row: sets.index(row.data))
    readers = list(dict.fromkeys(name(row.model) for row in shown))
    figure = new_figure(1.3 + 0.3 * len(shown))
    (axes,) = figure.axes
    for place, row in enumerate(shown):
        right = row.scores[SCORE].scaled(100)
        look = look_of(readers.index(name(row.model)))
        axes.errorbar(right.value, place, xerr=errors_of([right]), **look)
    labels = [f"{row.data.name[:24]}, {name(row.model)[:16]}" for row in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=9)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("lines exactly right, normalised, %")
    caption = "Bars are 95 % intervals. A reader that lacks a character of most lines is left out."
    return Plot("How many lines are read right?", svg_of(figure), caption)


def _base(rows: Sequence[Latency]) -> list[Latency]:
    """The rows at the first row's batch, width and threads."""
    if not rows:
        return []
    first = rows[0]
    same = (first.batch, first.width, first.threads)
    return [row for row in rows if (row.batch, row.width, row.threads) == same]


def _overview(rows: Sequence[Latency]) -> Plot | None:
    """All models side by side at the base: the picture of backbones."""
    base = [row for row in _base(rows) if row.total is not None]
    if not base:
        return None
    names = list(dict.fromkeys(name(row.model) for row in base))
    ways = list(dict.fromkeys(way(row) for row in base))
    figure = new_figure(1.6 + 0.2 * len(names) * (len(ways) + 1))
    (axes,) = figure.axes
    apart = 0.7 / len(ways)
    for place, own_way in enumerate(ways):
        own = [row for row in base if way(row) == own_way and row.total is not None]
        at = [names.index(name(row.model)) + (place - (len(ways) - 1) / 2) * apart for row in own]
        times = [row.total.p50.scaled(1e3) for row in own if row.total is not None]
        # Points, not bars: a logarithmic axis has no zero for a bar to stand on.
        axes.errorbar(
            [time.value for time in times], at, xerr=errors_of(times), label=own_way,
            linestyle="none", **look_of(place),
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    plain_ticks(axes, [r.total.p50.value * 1e3 for r in base if r.total is not None], "x")
    axes.grid(visible=False, axis="y")
    first = base[0]
    axes.set_xlabel(
        f"median ms (log), {first.batch} × {first.width} pixels, threads: {first.threads}"
    )
    legend_below(axes)
    return Plot(
        "How long does a line take?",
        svg_of(figure),
        "Picture file to text: medians with 95 % intervals." + _latency_only(base),
    )


def _stages(rows: Sequence[Latency]) -> Plot | None:
    """Plots the time that each stage takes."""
    base = [row for row in _base(rows) if row.stages]
    if not base:
        return None
    figure = new_figure(1.4 + 0.24 * len(base))
    (axes,) = figure.axes
    labels = [f"{name(row.model)}, {way(row)}" for row in base]
    left = [0.0] * len(base)
    for number, stage in enumerate(STAGES):
        parts = [100 * row.stages[stage].p50.value / _sum(row) for row in base]
        axes.barh(range(len(base)), parts, 0.75, left=left, label=stage, color=SERIES[number])
        left = [a + b for a, b in zip(left, parts, strict=True)]
    for place, row in enumerate(base):
        axes.text(101, place, f"{1e3 * _sum(row):.1f} ms", va="center", fontsize=9)
    axes.set_yticks(range(len(base)), labels, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the sum of the stages' medians, %")
    legend_below(axes, columns=4)
    return Plot(
        "Where does the time go?",
        svg_of(figure),
        "Loading is reading and decoding a JPEG; preprocessing is scaling and normalising; "
        "decoding is CTC." + _latency_only(base),
    )


def _sum(row: Latency) -> float:
    return sum(row.stages[stage].p50.value for stage in STAGES)


def _against(rows: Sequence[Latency], axis: str, question: str) -> Plot | None:
    """Latency a line against width or batch, the rest as in the base."""
    if not rows:
        return None
    first = rows[0]
    fixed = [name for name in ("batch", "width", "threads") if name != axis]
    own = [row for row in rows if all(getattr(row, n) == getattr(first, n) for n in fixed)]
    lines: dict[str, list[Latency]] = {}
    for row in own:
        lines.setdefault(f"{name(row.model)}, {way(row)}", []).append(row)
    lines = {label: found for label, found in lines.items() if len(found) > 1}
    if not lines:
        return None
    figure = new_figure()
    (axes,) = figure.axes
    for number, (label, found) in enumerate(lines.items()):
        found.sort(key=lambda row: int(getattr(row, axis)))
        times = [r.total.p50.scaled(1e3 / r.batch) for r in found if r.total is not None]
        axes.errorbar(
            [getattr(row, axis) for row in found], [time.value for time in times],
            yerr=errors_of(times), **look_of(number), label=label,
        )  # fmt: skip
    values = sorted({int(getattr(row, axis)) for found in lines.values() for row in found})
    axes.set_xscale("log")
    axes.set_xticks(values, [str(value) for value in values])
    axes.xaxis.minorticks_off()
    axes.set_yscale("log")
    plain_ticks(axes, _medians(lines.values()), "y")
    others = ", ".join(f"{name} {getattr(first, name)}" for name in fixed)
    unit = "pixels" if axis == "width" else "lines"
    axes.set(xlabel=f"{axis}, {unit} (log)", ylabel=f"median ms a line (log), {others}")
    legend_below(axes)
    return Plot(question, svg_of(figure), "Whole path." + _latency_only(own))


def _medians(lines: Iterable[Sequence[Latency]]) -> list[float]:
    return [1e3 * r.total.p50.value / r.batch for found in lines for r in found if r.total]


def _roofline(rows: Sequence[Latency], report: Report) -> Plot | None:
    """Achieved arithmetic under the measured roofs."""
    under = [row for row in _base(rows) if roof_of(row, report) is not None]
    if not under:
        return None
    figure = new_figure()
    (axes,) = figure.axes
    threads = under[0].threads
    intensities = [row.flop / row.traffic for row in under]
    left, right = min(intensities) / 3, max(intensities) * 3
    for number, peak in enumerate(peak for peak in report.peaks if peak.threads == threads):
        edge = peak.flops / peak.bandwidth
        xs = [left, *([edge] if left < edge < right else []), right]
        axes.plot(
            xs, [min(peak.flops, peak.bandwidth * x) / 1e9 for x in xs],
            color=INK, linestyle=("-", "--", ":")[number % 3],
            label=f"roof of {peak.library}: {peak.flops / 1e9:.0f} GFLOP/s",
        )  # fmt: skip
    for number, row in enumerate(under):
        flops = row.stages["infer"].p50.inverse(row.flop / 1e9)
        axes.errorbar(
            intensities[number], flops.value, yerr=errors_of([flops]),
            linestyle="none", markersize=8, **look_of(number),
            label=f"{name(row.model)}, {way(row)}",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_ticks(axes, intensities, "x")
    achieved = [row.flop / row.stages["infer"].p50.value / 1e9 for row in under]
    plain_ticks(axes, [*achieved, *(peak.flops / 1e9 for peak in report.peaks)], "y")
    axes.set(xlabel="FLOP a byte of layers that are not fused (log)", ylabel="GFLOP/s (log)")
    legend_below(axes)
    return Plot(
        "How near does the arithmetic come to what this machine can do?",
        svg_of(figure),
        "The inference stage against what the same library reaches here at best."
        + _latency_only(under),
    )


def _latency_only(rows: Sequence[Latency]) -> str:
    return "" if all(row.model.trained for row in rows) else " * random weights: latency only."
