"""Plots of a report, as SVG to put into a page; drawn by matplotlib, text stays text."""

import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from crnn_benchmarks.harness.backends import BACKENDS
from crnn_benchmarks.harness.schema import STAGES, Accuracy, Latency, Report
from crnn_benchmarks.harness.stats import Interval
from crnn_benchmarks.report.tables import roof_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE: Any = {
    "svg.fonttype": "none",  # letters, not outlines: small, and can be searched
    "svg.hashsalt": "crnn",  # the same page for the same figures
    "font.family": "DejaVu Sans",
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}
_MARKS = "osD^vP*Xph<>"


@dataclasses.dataclass(frozen=True)
class Plot:
    """A picture and what it says.

    Attributes:
        title: heading.
        svg: an ``<svg>`` element.
        caption: below it.
    """

    title: str
    svg: str
    caption: str


def plots(report: Report) -> list[Plot]:
    """All plots for which the report has rows."""
    rows = [row for row in report.latency if row.problem is None]
    found: list[Plot | None] = []
    with mpl.rc_context(_STYLE):
        for data in dict.fromkeys(row.data for row in report.accuracy):
            points = [
                row
                for row in report.accuracy
                if row.data == data and row.problem is None and row.cpu is not None
            ]
            found.append(_pareto(points))
        found += [_overview(rows), _stages(rows), _against(rows, "width"), _against(rows, "batch")]
        found.append(_roofline(rows, report))
    return [plot for plot in found if plot is not None]


def _figure(width: float = 8.6, height: float = 4.8) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def _svg(figure: "Figure") -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _errors(values: Sequence[Interval]) -> list[list[float]]:
    """Distances to the bounds, as matplotlib wants them."""
    below = [value.value - value.bounds()[0] for value in values]
    return [below, [value.bounds()[1] - value.value for value in values]]


def _pareto(rows: Sequence[Accuracy]) -> Plot | None:
    """Accuracy against cost, with the readers that none beats in both."""
    timed = [(row, row.cpu) for row in rows if row.cpu is not None]
    if not timed:
        return None
    data = rows[0].data
    figure, axes = _figure()
    front = pareto_front([(cpu.value, row.scores["exact_normalized"].value) for row, cpu in timed])
    xs = [cpu.scaled(1e3) for _, cpu in timed]
    ys = [row.scores["exact_normalized"].scaled(100) for row, _ in timed]
    for number, (row, _) in enumerate(timed):
        precision = f" {row.precision}" if row.precision not in ("", "fp32") else ""
        axes.errorbar(
            xs[number].value, ys[number].value,
            xerr=_errors([xs[number]]), yerr=_errors([ys[number]]),
            fmt=_MARKS[number % len(_MARKS)], color=f"C{number % 10}", capsize=2, markersize=8,
            label=f"{row.model.name}{precision}" + (" (front)" if number in front else ""),
        )  # fmt: skip
    axes.plot(
        [xs[n].value for n in front], [ys[n].value for n in front],
        color="black", linestyle="--", linewidth=1, label="Pareto front", zorder=0,
    )  # fmt: skip
    axes.set_xscale("log")
    _plain_ticks(axes, [x.value for x in xs], "x")
    axes.set(
        xlabel="processor time a line, ms (one line at a time, log)",
        ylabel="lines exactly right, normalised, %",
        title=f"{data}",
    )
    _legend(axes)
    caption = (
        "Up and to the left is better; no other reader is both cheaper and more accurate than "
        "one on the dashed front. Bars are 95 % intervals."
    )
    return Plot(f"Accuracy against cost: {data}", _svg(figure), caption)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the (cost, gain) pairs that no other beats, by rising cost."""
    front: list[int] = []
    best = float("-inf")
    for index in sorted(range(len(points)), key=lambda n: (points[n][0], -points[n][1])):
        if points[index][1] > best:
            front.append(index)
            best = points[index][1]
    return front


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
    names = list(dict.fromkeys(_mark(row) for row in base))
    ways = list(dict.fromkeys(_way(row) for row in base))
    figure, axes = _figure(height=1.6 + 0.2 * len(names) * (len(ways) + 1))
    apart = 0.7 / len(ways)
    for place, way in enumerate(ways):
        own = [row for row in base if _way(row) == way and row.total is not None]
        at = [names.index(_mark(row)) + (place - (len(ways) - 1) / 2) * apart for row in own]
        times = [row.total.p50.scaled(1e3) for row in own if row.total is not None]
        # Points, not bars: a logarithmic axis has no zero for a bar to stand on.
        axes.errorbar(
            [time.value for time in times], at, xerr=_errors(times), label=way,
            fmt=_MARKS[place % len(_MARKS)], color=f"C{place % 10}", capsize=2,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    _plain_ticks(axes, [r.total.p50.value * 1e3 for r in base if r.total is not None], "x")
    axes.grid(visible=False, axis="y")
    first = base[0]
    axes.set_xlabel(
        f"median ms (log), {first.batch} × {first.width} pixels, threads: {first.threads}"
    )
    _legend(axes)
    return Plot(
        "Latency of every model",
        _svg(figure),
        "Picture file to text: medians with 95 % intervals." + _latency_only(base),
    )


def _stages(rows: Sequence[Latency]) -> Plot | None:
    """Plots the time that each stage takes."""
    base = [row for row in _base(rows) if row.stages]
    if not base:
        return None
    figure, axes = _figure(height=1.4 + 0.24 * len(base))
    labels = [f"{_mark(row)}, {_way(row)}" for row in base]
    left = [0.0] * len(base)
    for number, stage in enumerate(STAGES):
        parts = [100 * row.stages[stage].p50.value / _sum(row) for row in base]
        axes.barh(range(len(base)), parts, 0.75, left=left, label=stage, color=f"C{number}")
        left = [a + b for a, b in zip(left, parts, strict=True)]
    for place, row in enumerate(base):
        axes.text(101, place, f"{1e3 * _sum(row):.1f} ms", va="center", fontsize=8)
    axes.set_yticks(range(len(base)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the sum of the stages' medians, %")
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return Plot(
        "Stages",
        _svg(figure),
        "Loading is reading and decoding a JPEG; preprocessing is scaling and normalising; "
        "decoding is CTC." + _latency_only(base),
    )


def _sum(row: Latency) -> float:
    return sum(row.stages[stage].p50.value for stage in STAGES)


def _against(rows: Sequence[Latency], axis: str) -> Plot | None:
    """Latency a line against width or batch, the rest as in the base."""
    if not rows:
        return None
    first = rows[0]
    fixed = [name for name in ("batch", "width", "threads") if name != axis]
    own = [row for row in rows if all(getattr(row, n) == getattr(first, n) for n in fixed)]
    lines: dict[str, list[Latency]] = {}
    for row in own:
        lines.setdefault(f"{_mark(row)}, {_way(row)}", []).append(row)
    lines = {label: found for label, found in lines.items() if len(found) > 1}
    if not lines:
        return None
    figure, axes = _figure()
    for number, (label, found) in enumerate(lines.items()):
        found.sort(key=lambda row: int(getattr(row, axis)))
        times = [r.total.p50.scaled(1e3 / r.batch) for r in found if r.total is not None]
        axes.errorbar(
            [getattr(row, axis) for row in found], [time.value for time in times],
            yerr=_errors(times), marker=_MARKS[number % len(_MARKS)], color=f"C{number % 10}",
            capsize=2, label=label,
        )  # fmt: skip
    values = sorted({int(getattr(row, axis)) for found in lines.values() for row in found})
    axes.set_xscale("log")
    axes.set_xticks(values, [str(value) for value in values])
    axes.xaxis.minorticks_off()
    axes.set_yscale("log")
    _plain_ticks(axes, _medians(lines.values()), "y")
    others = ", ".join(f"{name} {getattr(first, name)}" for name in fixed)
    unit = "pixels" if axis == "width" else "lines"
    axes.set(xlabel=f"{axis}, {unit} (log)", ylabel=f"median ms a line (log), {others}")
    _legend(axes)
    return Plot(f"Latency against {axis}", _svg(figure), "Whole path." + _latency_only(own))


def _medians(lines: Iterable[Sequence[Latency]]) -> list[float]:
    return [1e3 * r.total.p50.value / r.batch for found in lines for r in found if r.total]


def _roofline(rows: Sequence[Latency], report: Report) -> Plot | None:
    """Achieved arithmetic under the measured roofs."""
    under = [row for row in _base(rows) if roof_of(row, report) is not None]
    if not under:
        return None
    figure, axes = _figure()
    threads = under[0].threads
    intensities = [row.flop / row.traffic for row in under]
    left, right = min(intensities) / 3, max(intensities) * 3
    for number, peak in enumerate(peak for peak in report.peaks if peak.threads == threads):
        edge = peak.flops / peak.bandwidth
        xs = [left, *([edge] if left < edge < right else []), right]
        axes.plot(
            xs, [min(peak.flops, peak.bandwidth * x) / 1e9 for x in xs],
            color="black", linestyle=("-", "--", ":")[number % 3],
            label=f"roof of {peak.library}: {peak.flops / 1e9:.0f} GFLOP/s",
        )  # fmt: skip
    for number, row in enumerate(under):
        flops = row.stages["infer"].p50.inverse(row.flop / 1e9)
        axes.errorbar(
            intensities[number], flops.value, yerr=_errors([flops]),
            fmt=_MARKS[number % len(_MARKS)], color=f"C{number % 10}", markersize=8, capsize=2,
            label=f"{_mark(row)}, {_way(row)}",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_ticks(axes, intensities, "x")
    achieved = [row.flop / row.stages["infer"].p50.value / 1e9 for row in under]
    _plain_ticks(axes, [*achieved, *(peak.flops / 1e9 for peak in report.peaks)], "y")
    axes.set(xlabel="FLOP a byte of layers that are not fused (log)", ylabel="GFLOP/s (log)")
    _legend(axes)
    return Plot(
        "Roofline",
        _svg(figure),
        "The inference stage against what the same library reaches here at best."
        + _latency_only(under),
    )


def _plain_ticks(axes: "Axes", values: Sequence[float], which: str) -> None:
    """Numbers as people write them on a logarithmic axis, not powers of ten."""
    steps = [m * 10.0**e for e in range(-4, 7) for m in (1, 2, 5)]
    low, high = min(values) / 1.6, max(values) * 1.6
    inside = [step for step in steps if low <= step <= high]
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(inside, [f"{step:g}" for step in inside])
    axis.minorticks_off()


def _legend(axes: "Axes") -> None:
    """Beside the plot, where it hides nothing."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)


def _mark(row: Latency) -> str:
    return row.model.name if row.model.trained else f"{row.model.name} *"


def _way(row: Latency) -> str:
    backend = BACKENDS[row.backend].title if row.backend in BACKENDS else row.backend
    return f"{backend} {row.precision}"


def _latency_only(rows: Sequence[Latency]) -> str:
    return "" if all(row.model.trained for row in rows) else " * random weights: latency only."
