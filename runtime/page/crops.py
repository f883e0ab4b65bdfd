"""Lines cut out of a page: rectangles at any angle, each as an upright picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.page.boxes import Polygon

_STRAIGHT = 0.5  # pixels by which the corners of a rectangle may be off the axes to be cut plainly


def crop(image: NDArray[np.uint8], polygon: Polygon) -> NDArray[np.uint8]:
    """Cuts a polygon out of an image and turns its text upright, from left to right.

    Args:
        image: (H, W) or (H, W, 3).
        polygon: of the line, in pixels of the image; what lies beyond the image repeats its
            edge.

    Returns:
        (h, w) or (h, w, 3), as large as the polygon's longer sides; of a line that runs along
        the image's rows a view of it.
    """
    height, width = image.shape[:2]
    high, wide = crop_size(polygon)
    x0, y0 = polygon[0]
    upright = np.array([[x0, y0], [x0 + wide, y0], [x0 + wide, y0 + high], [x0, y0 + high]])
    left, top = round(float(x0)), round(float(y0))
    inside = left >= 0 and top >= 0 and left + wide <= width and top + high <= height
    if inside and np.abs(polygon - upright).max() <= _STRAIGHT + 0.5:
        return image[top : top + high, left : left + wide]
    # Pixel p spans p to p + 1; warpPerspective counts from the middle of pixels.
    target = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(polygon - np.float32(0.5), target)
    return cv2.warpPerspective(  # type: ignore[return-value]
        image, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def crop_size(polygon: Polygon) -> tuple[int, int]:
    """Height and width in pixels of what `crop` gives, each at least 1."""
    top, right, bottom, left = (polygon[(n + 1) % 4] - polygon[n] for n in range(4))
    wide = max(np.hypot(*top), np.hypot(*bottom))
    high = max(np.hypot(*right), np.hypot(*left))
    return max(1, round(float(high))), max(1, round(float(wide)))


def lengthened(polygon: Polygon, by: float) -> Polygon:
    """The same rectangle with so many pixels more at the beginning and the end of its text."""
    along = polygon[1] - polygon[0]
    step = along * np.float32(by / max(float(np.hypot(*along)), 1e-6))
    return np.asarray(polygon + np.stack([-step, step, step, -step]), np.float32)


def turned(polygon: Polygon, quarters: int) -> Polygon:
    """The same rectangle with its text turned clockwise by quarter turns.

    The text then begins in the next corner, clockwise, for each quarter.
    """
    return np.roll(polygon, -quarters, axis=0)


def to_page(polygon: Polygon, points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Points (N, 2) of a crop → points of the page."""
    high, wide = crop_size(polygon)
    source = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, polygon.astype(np.float32))
    moved = cv2.perspectiveTransform(np.asarray(points, np.float32).reshape(1, -1, 2), matrix)
    return np.asarray(moved, np.float32).reshape(-1, 2)
