"""Draws pictures: matplotlib's settings, SVG out of a figure, marks and axes."""

import dataclasses
import io
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from cycler import cycler

from crnn_benchmarks.harness.stats import Interval
from crnn_benchmarks.report.palette import INK, RULE, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

STYLE: Any = {
    "svg.fonttype": "none",  # letters, not outlines: small, and can be searched
    "svg.hashsalt": "crnn",  # the same page for the same figures
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 11,
    "axes.grid": True,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=SERIES),
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "grid.color": RULE,
    "figure.constrained_layout.use": True,
} | dict.fromkeys(
    ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
)
"""Colours are those of the palette alone, so that they turn with it."""

_MARKS = "osD^vP*Xph<>"
WIDTH = 5.6
"""Inches: a picture that is scaled to a phone's window can still be read."""

_LEGEND_ROW = 0.21
_PLACES = ((9, 0), (-9, 0), (0, 10), (0, -10), (8, 11), (8, -11), (-8, 11), (-8, -11),
           (0, 22), (0, -22), (10, 22), (10, -22), (-10, 22), (-10, -22))  # fmt: skip
"""The places for a name beside its point, in points of type, the best first."""
_STEPS = 100
"""The places at which a line is looked at, so that no name is written over it."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """A picture and what it answers.

    Attributes:
        title: the question.
        svg: an ``<svg>`` element.
        caption: below it.
    """

    title: str
    svg: str
    caption: str


def new_figure(height: float = 4.4, width: float = WIDTH, rows: int = 1) -> "Figure":
    """A figure with axes one below the other, which a phone shows as large as a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)  # measures texts
    figure.subplots(rows, gridspec_kw={"hspace": 0.05})
    return figure


def svg_of(figure: "Figure") -> str:
    """The figure as an ``<svg>`` element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def look_of(number: int) -> dict[str, Any]:
    """Mark and colour of one of several things in a picture."""
    mark, colour = _MARKS[number % len(_MARKS)], SERIES[number % len(SERIES)]
    return {"marker": mark, "color": colour, "capsize": 2}


def errors_of(values: Sequence[Interval]) -> list[list[float]]:
    """Distances to the bounds, as matplotlib wants them."""
    below = [value.value - value.bounds()[0] for value in values]
    return [below, [value.bounds()[1] - value.value for value in values]]


def plain_ticks(axes: "Axes", values: Sequence[float], which: str) -> None:
    """Numbers as people write them on a logarithmic axis, not powers of ten."""
    steps = [m * 10.0**e for e in range(-4, 7) for m in (1, 2, 5)]
    low, high = min(values) / 1.6, max(values) * 1.6
    inside = [step for step in steps if low <= step <= high]
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(inside, [f"{step:g}" for step in inside])
    axis.minorticks_off()


def legend_below(axes: "Axes", columns: int = 2) -> None:
    """Below the plot, where it hides nothing and takes no width; the figure grows by it."""
    handles, labels = axes.get_legend_handles_labels()
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(figure.get_figheight() + _LEGEND_ROW * -(-len(labels) // columns))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def name_points(
    axes: "Axes",
    named: Sequence[tuple[Interval, Interval, str]],
    line: Sequence[tuple[float, float]] = (),
) -> None:
    """Write a text beside each point (x, y), off other texts, points, their bars and a line."""
    from matplotlib.transforms import Bbox  # noqa: PLC0415

    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # lays the axes out
    mark, frame = 5 * figure.dpi / 72, axes.get_window_extent()
    taken = []
    for x, y, _ in named:
        at = axes.transData.transform((x.value, y.value))
        low, high = axes.transData.transform([*zip(x.bounds(), y.bounds(), strict=True)])
        taken.append(Bbox.from_extents(*(at - mark), *(at + mark)))
        taken.append(Bbox.from_extents(low[0], at[1] - 2, high[0], at[1] + 2))
        taken.append(Bbox.from_extents(at[0] - 1, low[1], at[0] + 1, high[1]))
    corners = [axes.transData.transform(corner) for corner in line]
    for start, end in itertools.pairwise(corners):
        for share in np.linspace(0, 1, _STEPS):
            at = start + share * (end - start)
            taken.append(Bbox.from_extents(*(at - 2), *(at + 2)))
    points = [axes.transData.transform((x.value, y.value)) for x, y, _ in named]
    for point, (x, y, text) in zip(points, named, strict=True):
        tried: list[tuple[float, int, Annotation, Bbox]] = []
        for right, up in _PLACES:
            beside = x.bounds()[right > 0] if right and not up else x.value
            label = axes.annotate(
                text, (beside, y.value), (right, up), textcoords="offset points", fontsize=9,
                linespacing=1.0,
                ha="center" if not right else "left" if right > 0 else "right",
                va="center" if not up else "bottom" if up > 0 else "top",
            )  # fmt: skip
            box = label.get_window_extent()
            outside = not (frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0
                           and box.y1 <= frame.y1)  # fmt: skip
            others = [_away(box, each) for each in points if each is not point]
            misleads = 1.15 * _away(box, point) > min(others, default=math.inf)
            covered = sum(box.overlaps(other) for other in taken)
            covered += len(taken) * (outside + misleads)
            tried.append((covered, len(tried), label, box))
            label.set_visible(False)
        _, _, chosen, box = min(tried)
        chosen.set_visible(True)
        for *_, label, _ in tried:
            if label is not chosen:
                label.remove()
        taken.append(box)


def _away(box: "Bbox", point: npt.NDArray[np.float64]) -> float:
    """Pixels from a box to a point, 0 within."""
    nearest = np.clip(point, box.min, box.max)
    return float(np.hypot(*(point - nearest)))
