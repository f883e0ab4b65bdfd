"""A detector's probability map → rotated rectangles around lines of text.

The post-processing of DBNet (Liao et al. 2020, "Real-time Scene Text Detection with
Differentiable Binarization", section 3.3): the map is cut at a threshold, each connected
region gets its least rectangle, and the rectangle grows by ``area · ratio / perimeter`` on
all sides, because the network learnt regions that were shrunk by that much. The offset of
a rectangle is a rectangle again, so no library for polygons is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float32]
"""(4, 2) x, y in pixels, clockwise from the corner where the text begins, above it."""

_LEAST_SIDE = 3.0  # pixels of the map: smaller regions are specks
_TALL = 1.5  # height over width from which a rectangle is taken for a line that is turned
_UPRIGHT = np.sin(np.radians(15.0))  # a long side that is steeper than 75° runs down


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A place where a line of text may stand.

    Attributes:
        polygon: see `Polygon`.
        score: mean probability of text within it, 0 to 1.
    """

    polygon: Polygon
    score: float

    @property
    def width(self) -> float:
        """Pixels along the text."""
        return float(np.linalg.norm(self.polygon[1] - self.polygon[0]))

    @property
    def height(self) -> float:
        """Pixels across the text."""
        return float(np.linalg.norm(self.polygon[3] - self.polygon[0]))


def find_boxes(
    probabilities: NDArray[np.float32],
    *,
    threshold: float,
    box_threshold: float,
    unclip: float,
    most: int,
) -> list[Box]:
    """The rectangles of a map, the surest first if there are too many.

    Args:
        probabilities: (H, W), of text at each pixel.
        threshold: of a pixel that belongs to a region.
        box_threshold: of a region's mean, below which it is left out.
        unclip: how far rectangles grow, see the module's docstring.
        most: rectangles at most.

    Returns:
        boxes with corners in pixels of the map, in no particular order.
    """
    mask = (probabilities > threshold).astype(np.uint8)
    # Two levels: a region within a hole of another one is a region of its own.
    contours, levels = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for number, contour in enumerate(contours):
        if levels[0, number, 3] >= 0:  # the edge of a hole
            continue
        centre, size, angle = cv2.minAreaRect(contour)
        if min(size) < _LEAST_SIDE:
            continue
        score = _mean_within(probabilities, _corners(centre, size, angle))
        if score < box_threshold:
            continue
        # Pixel p spans p to p + 1, a contour runs through the middle of its pixels.
        width, height = size[0] + 1, size[1] + 1
        grown = 2 * width * height * unclip / (2 * (width + height))
        middle = centre[0] + 0.5, centre[1] + 0.5
        corners = _corners(middle, (width + grown, height + grown), angle)
        boxes.append(Box(_from_text_corner(corners), score))
    if len(boxes) > most:
        boxes.sort(key=lambda box: -box.score)
    return boxes[:most]


def _corners(centre: Sequence[float], size: Sequence[float], angle: float) -> Polygon:
    """The corners of a rotated rectangle, clockwise, as y points down."""
    return np.asarray(cv2.boxPoints((centre, size, angle)), np.float32)


def _mean_within(probabilities: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    """Mean of a map within a rectangle."""
    height, width = probabilities.shape
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (width, height))
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillConvexPoly(mask, np.round(corners - (x0, y0)).astype(np.int32), 1)
    return float(cv2.mean(probabilities[y0:y1, x0:x1], mask)[0])


def _from_text_corner(corners: NDArray[np.float32]) -> Polygon:
    """The corners of a rectangle, any one first, clockwise from where its text begins.

    A text runs along the longer side, from left to right or, where that side is nearly
    upright, downwards; what is not clearly taller than wide runs from left to right.
    """
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    across = int(np.argmax(np.abs(sides[:2, 0]) / np.maximum(lengths[:2], 1e-6)))
    down = 1 - across
    along = down if lengths[down] >= _TALL * lengths[across] else across
    long_ones = (along, along + 2)
    runs_down = abs(sides[along, 0]) < _UPRIGHT * lengths[along]
    first = max(long_ones, key=lambda side: sides[side, 1 if runs_down else 0])
    return np.roll(corners, -first, axis=0).astype(np.float32)
