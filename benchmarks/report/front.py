"""The front of accuracy and time: readers as points, and which of them none beats in both."""

import dataclasses
import html
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl

from crnn_benchmarks.harness.schema import Accuracy, DataSet, Report
from crnn_benchmarks.harness.stats import Interval
from crnn_benchmarks.report.drawing import (
    STYLE,
    Plot,
    errors_of,
    name_points,
    new_figure,
    plain_ticks,
    svg_of,
)
from crnn_benchmarks.report.palette import INK, ON_DARK, PAPER, SERIES
from crnn_runtime.errors import CrnnError
from crnn_runtime.readers import reader_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCORE = "exact_normalized"
_APART = 25
"""Points in per cent below the best from which on a reader stands at the edge of the picture,
so that the others can be told apart."""


@dataclasses.dataclass(frozen=True)
class Point:
    """A reader in the picture.

    Attributes:
        name: its own.
        time: processor time a line over that of the reader it is compared with.
        right: lines exactly right after normalisation, the mean of the data sets.
        size: bytes of its file.
    """

    name: str
    time: Interval
    right: Interval
    size: int

    @property
    def own(self) -> bool:
        """Whether it ships with this project."""
        return self.name in reader_names()


def timed(report: Report) -> list[Accuracy]:
    """Rows with accuracy and time."""
    return [row for row in report.accuracy if row.problem is None and row.scores and row.cpu]


def data_sets(report: Report) -> list[DataSet]:
    """Those of the timed rows, in their order."""
    return list(dict.fromkeys(row.data for row in timed(report)))


def reads(row: Accuracy) -> bool:
    """Whether the reader knows the characters of most lines: else its accuracy says little."""
    return 2 * row.outside <= row.data.lines


def times(report: Report, sets: Sequence[DataSet], to: str = "") -> dict[str, Interval]:
    """Reader → processor time for the lines of the sets, over that of the reader ``to``.

    Args:
        report: of ``crnn-bench peers``.
        sets: of its data sets.
        to: a reader's name, the first one's by default.

    Raises:
        CrnnError: there is no such reader.
    """
    rows = [row for row in timed(report) if row.data in sets]
    first = {row.data: row.cpu for row in rows if row.cpu and row.model == rows[0].model}
    total = sum(cpu.value * data.lines for data, cpu in first.items())
    found: dict[str, list[tuple[float, Interval]]] = {}
    for row in rows:
        if row.cpu is None or row.data not in first:  # nothing to compare it with
            continue
        at = first[row.data].value
        shared = (at * row.data.lines / total, row.ratio or row.cpu.scaled(1 / at))
        found.setdefault(row.model.name, []).append(shared)
    whole = {name: _weighted(parts) for name, parts in found.items() if len(parts) == len(sets)}
    if not to or to == next(iter(whole), ""):
        return whole
    if to not in whole:
        raise CrnnError(f"no times of {to!r} to compare with: choose from {', '.join(whole)}")
    other = whole[to]
    return {name: _over(time, other) for name, time in whole.items()} | {to: Interval(1.0)}


def points(report: Report, sets: Sequence[DataSet], to: str = "") -> list[Point]:
    """The readers that read all of the sets, see `reads`."""
    found = []
    taken = times(report, sets, to)
    rows = [row for row in timed(report) if row.data in sets and reads(row)]
    for name in dict.fromkeys(row.model.name for row in rows):
        own = [row for row in rows if row.model.name == name]
        if len(own) == len(sets) and name in taken:
            right = _mean([row.scores[SCORE] for row in own])
            found.append(Point(name, taken[name], right, own[0].model.size))
    return found


def pareto_front(pairs: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the (cost, gain) pairs that no other beats, by rising cost."""
    front: list[int] = []
    best = float("-inf")
    for index in sorted(range(len(pairs)), key=lambda n: (pairs[n][0], -pairs[n][1])):
        if pairs[index][1] > best:
            front.append(index)
            best = pairs[index][1]
    return front


def front_of(found: Sequence[Point]) -> list[Point]:
    """The readers that no other one beats in both, the quickest first."""
    return [found[n] for n in pareto_front([(p.time.value, p.right.value) for p in found])]


def front_plots(report: Report) -> list[Plot]:
    """All sets together, if there are several, and each of them."""
    sets = data_sets(report)
    groups = [[data] for data in sets]
    if len(sets) > 1:
        groups.insert(0, sets)
    found = []
    for group in groups:
        if len(shown := points(report, group)) > 1:
            what = str(group[0]) if len(group) == 1 else f"the average of {len(group)} sets"
            figure = new_figure()
            _draw(figure.axes[0], shown, next(iter(times(report, group))))
            title = f"Which reader is accurate for its time, on {what}?"
            found.append(Plot(title, svg_of(figure), _caption(shown)))
    return found


def front_picture(
    report: Report, panels: Mapping[str, Sequence[DataSet]], to: str = "", *, suffix: str = ".svg"
) -> bytes:
    """A file of its own, a panel for each group of data sets.

    Args:
        report: of ``crnn-bench peers``.
        panels: title → data sets whose accuracies are averaged.
        to: the reader whose time is 1.
        suffix: ``.svg``, light or dark as the viewer is, or ``.png``, light.
    """
    with mpl.rc_context({**STYLE, "figure.facecolor": PAPER}):
        figure = new_figure(4.2 * len(panels), 5.2, len(panels))
        for axes, (title, sets) in zip(figure.axes, panels.items(), strict=True):
            if not (shown := points(report, sets, to)):
                raise CrnnError(f"{title}: no reader that was timed knows these characters")
            _draw(axes, shown, to or next(iter(times(report, sets))))
            axes.set_title(title)
        if suffix == ".png":
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
            return buffer.getvalue()
        head, tag, rest = svg_of(figure).partition(">")
    said = html.escape(figures_text(report, panels, to))
    return f"{head}{tag}<desc>{said}</desc><style>{ON_DARK}</style>{rest}".encode()


def figures_text(report: Report, panels: Mapping[str, Sequence[DataSet]], to: str = "") -> str:
    """Describes the contents of `front_picture` in words."""
    return "\n".join(
        f"{title}. "
        + "; ".join(
            f"{p.name}, {p.size / 1e6:.1f} MB: {p.right.value:.1%} right, time {p.time.value:.2f}"
            for p in points(report, sets, to)
        )
        for title, sets in panels.items()
    )


def _caption(shown: Sequence[Point]) -> str:
    front = ", ".join(point.name for point in front_of(shown))
    return (
        f"Up and to the left is better. On the dashed front ({front}) stand the readers that no "
        "other beats in both. Bars are 95 % intervals; sizes are those of the files. A reader that "
        "lacks a character of most lines is left out."
    )


def _draw(axes: "Axes", shown: Sequence[Point], to: str) -> None:
    best = max(100 * point.right.value for point in shown)
    near = [p for p in shown if 100 * p.right.value > best - _APART]
    low = 5 * math.floor(min(100 * p.right.bounds()[0] for p in near) / 5)
    boxes = []
    for point in shown:
        right, edge = point.right.scaled(100), point not in near
        height = low if edge else right.value
        axes.errorbar(
            point.time.value, height,
            xerr=errors_of([point.time]), yerr=None if edge else errors_of([right]),
            fmt="v" if edge else "o" if point.own else "s",
            color=SERIES[0 if point.own else 1], markersize=8, elinewidth=1, capsize=2,
            clip_on=False,
        )  # fmt: skip
        text = f"{point.name}\n{point.size / 1e6:.1f} MB"
        text += f", {right.value:.1f} %" if edge else ""
        boxes.append((point.time, Interval(height) if edge else right, text))
    line = [(p.time.value, 100 * p.right.value) for p in front_of(near)]
    axes.plot(*zip(*line, strict=True), color=INK, linestyle="--", linewidth=1, zorder=0)
    axes.set_xscale("log")
    spread = [p.time.value for p in shown]
    axes.set_xlim(min(spread) / 2, max(spread) * 2.6)
    axes.set_ylim(low, 101.5)
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= 100])
    plain_ticks(axes, [min(spread) * 1.1, max(spread) * 1.2], "x")
    axes.set(
        xlabel=f"processor time a line, {to} = 1 (log)",
        ylabel="lines exactly right, normalised, %",
    )
    name_points(axes, boxes, line)


def _mean(values: Sequence[Interval]) -> Interval:
    """Returns the mean of independent figures."""
    n = len(values)
    value = sum(each.value for each in values) / n
    below, above = (
        math.hypot(*(each.bounds()[end] - each.value for each in values)) / n for end in (0, 1)
    )
    return Interval(value, value - below, min(1.0, value + above))


def _weighted(parts: Sequence[tuple[float, Interval]]) -> Interval:
    """Returns the mean of figures whose errors go together: the bounds are averaged too."""
    value = sum(weight * time.value for weight, time in parts)
    low, high = (sum(weight * time.bounds()[end] for weight, time in parts) for end in (0, 1))
    return Interval(value) if low == high else Interval(value, low, high)


def _over(time: Interval, other: Interval) -> Interval:
    """A quotient of two times, errors taken as independent."""
    spread = math.exp(math.hypot(*(math.log(t.bounds()[1] / t.value) for t in (time, other))))
    value = time.value / other.value
    return Interval(value, value / spread, value * spread)
