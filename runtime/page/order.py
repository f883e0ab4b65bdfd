"""Reading order: columns, then lines, then left to right.

The page is turned so that most of its text runs from left to right, and each line becomes
an upright rectangle. A region of rectangles is then cut again and again (an XY-cut: Nagy &
Seth 1984): side by side where a gap runs from its top to its bottom, or one below the other
where something spans that gap. Columns of a table, which are narrow or whose cells stand in
rows, are not read one after the other but row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.page.boxes import Polygon

Numbers = NDArray[np.int64]

_GUTTER = 0.6  # heights of a line that two columns are apart at least
_COLUMN = 5.0  # heights of a line that the lines of a column of prose are wide
_SAME_ROW = 0.5  # heights: lines whose middles are nearer stand in one row
_ALIGNED = 0.6  # share of a column's lines that stand in a row with its neighbour's
_FILLED = 0.75  # of a column's width that most lines of prose take
_BESIDE = 0.5  # of the lower column's height that its neighbour stands beside it
_FACING = 0.3  # of a column's lines that have another one beside them
_SPANNERS = 0.3  # of all lines that may span a gutter
_APART = 1.2  # heights of empty space that part two lines that stand alone
_TIGHT = 0.4  # heights of empty space that part none
_WIDER = 1.5  # times the usual space between lines, which parts two blocks
_SLOPED = 4.0  # heights of a line that is long enough to tell its slope
_STEEPEST = 0.2  # slope of lines against the page's main direction
_MOST_SHRUNK = 0.4  # of the far edge of a page against its middle
_INK = 0.15  # heights: what detectors draw around the text at each side


@dataclass(frozen=True, slots=True)
class Placed:
    """A line's place in the reading order.

    Attributes:
        index: of the polygon that was given.
        block: number of the block, from 0.
    """

    index: int
    block: int


def reading_order(polygons: Sequence[Polygon]) -> list[Placed]:
    """Sort lines as a person reads them.

    Args:
        polygons: (4, 2) of each line, clockwise from the text's own upper left corner.

    Returns:
        one entry for each polygon, in reading order.
    """
    if not polygons:
        return []
    corners = np.stack([np.asarray(polygon, np.float64) for polygon in polygons])
    turn, main = _main_direction(corners)
    upright = corners @ turn
    mine = np.flatnonzero(main)
    upright = _levelled(upright, mine)
    low, high = upright.min(1), upright.max(1)
    regions = _Regions(np.concatenate([low, high], 1), _heights(corners))
    # What runs in another direction, such as a note in the margin, comes last.
    strays = [np.array([index]) for index in np.flatnonzero(~main)[np.argsort(low[~main, 0])]]
    blocks = regions.cut(mine) + [stray.tolist() for stray in strays]
    return [Placed(int(index), number) for number, block in enumerate(blocks) for index in block]


def _heights(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) heights of lines across their text."""
    heights: NDArray[np.float64] = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
    return np.maximum(heights, 1e-3)


def _main_direction(
    corners: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Finds the direction of most text, and the lines that run in it.

    Most text runs right, down, left or up; the direction is the mean of what does. Short
    lines, whose angle means little, hardly count.

    Returns:
        (2, 2), which turns that direction to the right when it is multiplied from the right,
        and (N,) whether a line runs that way, within 45 degrees.
    """
    along = _along(corners)
    quarters = np.round(np.arctan2(along[:, 1], along[:, 0]) / (np.pi / 2)).astype(int) % 4
    weights = np.linalg.norm(along, axis=1)
    main = quarters == int(np.argmax(np.bincount(quarters, weights, 4)))
    x, y = (along[main] * weights[main, None]).sum(0)
    angle = float(np.arctan2(y, x))
    cosine, sine = np.cos(angle), np.sin(angle)
    turn: NDArray[np.float64] = np.array([[cosine, -sine], [sine, cosine]])
    return turn, main


def _along(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) from where lines begin to where they end."""
    sides: NDArray[np.float64] = corners[:, 1] - corners[:, 0] + corners[:, 2] - corners[:, 3]
    return sides / 2


def _levelled(corners: NDArray[np.float64], members: Numbers) -> NDArray[np.float64]:
    """Lines of a page that is seen at an angle made parallel.

    Seen so, the slope of lines changes evenly from the top of the page to its bottom.
    """
    along = _along(corners)[members]
    long = along[:, 0] > _SLOPED * _heights(corners)[members]
    if long.sum() < 3:
        return corners
    along, centres = along[long], corners[members][long].mean(1)
    slope, weight = along[:, 1] / along[:, 0], along[:, 0]
    x, y = corners[members].mean((0, 1))
    # Where each line crosses the middle, and how steep a line is that crosses it there.
    crossing = centres[:, 1] - slope * (centres[:, 0] - x)
    basis = np.stack([np.ones(len(slope)), crossing - y], 1) * weight[:, None]
    steepness, change = np.linalg.lstsq(basis, slope * weight, rcond=None)[0]
    across = corners[:, :, 0] - x
    shrinkage = 1 + change * across
    if shrinkage.min() < _MOST_SHRUNK or abs(steepness) > _STEEPEST:
        return corners
    levelled = corners.copy()
    levelled[:, :, 1] = (corners[:, :, 1] - across * (steepness - change * y)) / shrinkage
    return levelled


class _Regions:
    """Rectangles (N, 4) x0, y0, x1, y1 of upright lines, and their heights (N,)."""

    def __init__(self, rectangles: NDArray[np.float64], heights: NDArray[np.float64]) -> None:
        self._heights = heights
        # Without the space that detectors leave around text, neighbours do not overlap.
        shrunk = rectangles.copy()
        room = np.minimum(_INK * heights, (rectangles[:, 3] - rectangles[:, 1]) / 4)
        shrunk[:, 1] += room
        shrunk[:, 3] -= room
        self._x0, self._y0, self._x1, self._y1 = shrunk.T

    def cut(self, members: Numbers) -> list[list[int]]:
        """A region → its blocks in reading order, each with its lines."""
        if len(members) < 2:
            return [members.tolist()]
        for way in (self._peeled, self._side_by_side, self._around_spanners, self._at_space):
            parts = way(members)
            if len(parts) > 1:
                return [block for part in parts for block in self.cut(part)]
        return [[index for row in self._rows(members) for index in row]]

    def _peeled(self, members: Numbers) -> list[Numbers]:
        """A heading or a page number, alone above or below all others."""
        rows = self._at_space(members)
        if len(rows) > 1 and len(rows[0]) == 1:
            return [rows[0], np.concatenate(rows[1:])]
        if len(rows) > 1 and len(rows[-1]) == 1:
            return [np.concatenate(rows[:-1]), rows[-1]]
        return [members]

    def _side_by_side(self, members: Numbers) -> list[Numbers]:
        """Columns of prose, from left to right; the region alone if it has none."""
        parts = _parted(members, self._x0, self._x1, _GUTTER * self._height(members))
        columns = [parts[0]]
        for part in parts[1:]:
            if self._are_columns(columns[-1], part):
                columns.append(part)
            else:
                columns[-1] = np.concatenate([columns[-1], part])
        return columns

    def _around_spanners(self, members: Numbers) -> list[Numbers]:
        """Bands above, at and below the lines that span a gutter between columns."""
        gap = _GUTTER * self._height(members)
        x0, x1 = self._x0[members], self._x1[members]
        best: NDArray[np.bool_] | None = None
        for start in np.unique(x1):
            left, right = x1 <= start, x0 >= start + gap
            spans = ~left & ~right
            if min(left.sum(), right.sum()) < 2 or spans.sum() > _SPANNERS * len(members):
                continue
            if best is not None and spans.sum() >= best.sum():
                continue
            if self._are_columns(members[left], members[right]):
                best = spans
        if best is None or not best.any():
            return [members]
        top = self._y0[members]
        order = members[np.argsort(top, kind="stable")]
        spanning = np.isin(order, members[best])
        return np.split(order, np.flatnonzero(spanning[1:] != spanning[:-1]) + 1)

    def _at_space(self, members: Numbers) -> list[Numbers]:
        """Parts with more space between them than lines have as a rule, from top to bottom."""
        rows = _parted(members, self._y0, self._y1, 0.0)
        spaces = np.array(
            [self._y0[below].min() - self._y1[above].max() for above, below in pairwise(rows)]
        )
        if len(spaces) < 3:
            least = _APART * self._height(members)
        else:
            least = max(_WIDER * float(np.median(spaces)), _TIGHT * self._height(members))
        return _parted(members, self._y0, self._y1, least)

    def _are_columns(self, left: Numbers, right: Numbers) -> bool:
        """Whether two neighbours are columns to be read one after the other.

        They are not if they hardly stand side by side, or if they are cells of a table's
        rows: these stand in rows, and are narrow or of all widths.
        """
        sides = (left, right)
        spans = [self._y1[part].max() - self._y0[part].min() for part in sides]
        both = min(self._y1[part].max() for part in sides)
        both -= max(self._y0[part].min() for part in sides)
        if both < _BESIDE * min(spans):
            return False
        middle = (self._y0 + self._y1) / 2
        fewer, more = sorted(sides, key=len)
        beside = (self._y0[fewer][:, None] < self._y1[more]) & (
            self._y1[fewer][:, None] > self._y0[more]
        )
        if np.mean(beside.any(1)) < _FACING:
            return False  # one below the other, now at the left and now at the right
        apart = np.abs(middle[fewer][:, None] - middle[more][None]).min(1)
        if np.mean(apart < _SAME_ROW * self._heights[fewer]) < _ALIGNED:
            return True
        return len(fewer) > 2 and all(self._is_prose(part) for part in sides)

    def _is_prose(self, members: Numbers) -> bool:
        """Whether most lines are long and as wide as the column."""
        wide = (self._x1 - self._x0)[members]
        column = self._x1[members].max() - self._x0[members].min()
        long = float(np.median(wide / self._heights[members])) >= _COLUMN
        return long and float(np.median(wide)) >= _FILLED * column

    def _height(self, members: Numbers) -> float:
        return float(np.median(self._heights[members]))

    def _rows(self, members: Numbers) -> list[list[int]]:
        """Lines of a region from top to bottom, each row from left to right."""
        middle = (self._y0 + self._y1) / 2
        rows: list[list[int]] = []
        for index in sorted(members.tolist(), key=lambda index: middle[index]):
            if rows:
                last = rows[-1][-1]
                lower = min(self._heights[index], self._heights[last])
                if middle[index] - middle[last] < _SAME_ROW * lower:
                    rows[-1].append(index)
                    continue
            rows.append([index])
        return [sorted(row, key=lambda index: self._x0[index]) for row in rows]


def _parted(
    members: Numbers, start: NDArray[np.float64], end: NDArray[np.float64], gap: float
) -> list[Numbers]:
    """Members in parts between which no interval lies for more than ``gap``, in order."""
    order = members[np.argsort(start[members], kind="stable")]
    reached = np.maximum.accumulate(end[order])
    cuts = np.flatnonzero(start[order][1:] - reached[:-1] > gap) + 1
    return np.split(order, cuts)
