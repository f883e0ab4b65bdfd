"""Placing the line in its picture: margins, perspective, shear, curve, elastic warp."""

import math
import random

import cv2
import numpy as np
import numpy.typing as npt

from crnn.synth.glyphs import Mask
from crnn.synth.layout import Boxes, Layout
from crnn.synth.look import Look, draw

Matrix = npt.NDArray[np.float64]

_MAX_WIDTH = 2400  # pixels; a longer line is squeezed
_STEEPEST = 0.45  # share of the picture's height that a slanting line may climb


def place(layout: Layout, look: Look, rng: random.Random) -> tuple[Mask, Boxes]:
    """Warp the line into the picture's frame.

    Returns:
        The ink coverage (H, W) of the picture and the boxes in it.
    """
    rows, columns = layout.alpha.shape
    height = rng.randint(*look.height)
    corners = _bend(rows, columns, look, rng)
    arc = draw(rng, look.curve) * layout.size
    arc = min(abs(arc), 0.5 * rows) * (1 if rng.random() < 0.5 else -1) if arc else 0.0
    span = np.ptp(corners[:, 1]) + abs(arc)
    scale = height / span
    stretch = scale * rng.uniform(*look.stretch)
    natural = max(4.0, float(np.ptp(corners[:, 0])) * stretch)
    width, offset = round(min(natural, _MAX_WIDTH)), 0.0
    if look.width is not None:
        width = look.width
        offset = max(0.0, width - natural) * rng.random() ** 2
    stretch *= min(1.0, (width - offset) / natural)
    target = (corners - corners.min(0)) * (stretch, scale)
    target += (offset, max(0.0, arc) * scale)
    source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    # Shrinking far with bilinear sampling alone would leave single pixels of strokes.
    alpha = layout.alpha
    if scale < 0.6:
        alpha = np.asarray(cv2.blur(alpha, (2, 2) if scale > 0.4 else (3, 3)), np.uint8)
    warped = np.asarray(cv2.warpPerspective(alpha, matrix, (width, height)), np.uint8)
    boxes = _transform(layout.boxes, np.asarray(matrix, np.float64))
    waves = draw(rng, look.elastic)
    if arc or waves:
        warped, boxes = _ripple(warped, boxes, -arc * scale, waves, rng)
    return warped, boxes


def _bend(rows: int, columns: int, look: Look, rng: random.Random) -> npt.NDArray[np.float64]:
    """The corners (4, 2) of the line's frame after shear, perspective and rotation."""
    corners = np.array([[0.0, 0.0], [columns, 0.0], [columns, rows], [0.0, rows]])
    if shear := draw(rng, look.shear):
        corners[:2, 0] += shear * rows
    if shrink := draw(rng, look.perspective):
        side = rng.randrange(4)
        if side < 2:  # the left or the right end is farther away
            ends = [0, 3] if side else [1, 2]
            corners[ends, 1] = rows / 2 + (corners[ends, 1] - rows / 2) * (1 - shrink)
            corners[ends, 1] += rng.uniform(-0.5, 0.5) * shrink * rows
        else:
            ends = [0, 1] if side == 2 else [2, 3]
            shift = shrink * min(rows, columns) * 0.5
            corners[ends, 0] += (shift, -shift)
    if angle := draw(rng, look.rotate):
        steepest = math.atan(_STEEPEST * rows / columns) if columns > rows else 0.5
        turn = max(-steepest, min(steepest, math.radians(angle)))
        cosine, sine = math.cos(turn), math.sin(turn)
        corners = corners @ np.array([[cosine, sine], [-sine, cosine]])
    return corners


def _transform(boxes: Boxes, matrix: Matrix) -> Boxes:
    """Axis-aligned boxes around the images of boxes."""
    corners = boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 2)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    points = (moved[:, :2] / moved[:, 2:]).reshape(-1, 4, 2)
    return np.concatenate([points.min(1), points.max(1)], axis=1).astype(np.float32)


def _ripple(
    alpha: Mask, boxes: Boxes, arc: float, waves: float, rng: random.Random
) -> tuple[Mask, Boxes]:
    """Bend the baseline to an arc (pixels, negative lowers the ends) and ripple the picture."""
    height, width = alpha.shape
    x = np.arange(width, dtype=np.float32)
    # Two phases of a slow and a quick wave, along the line only: strokes stay strokes.
    dx, dy = (_wave(x, height, waves, rng) for _ in range(2))
    if arc:
        along = x / width * 2 - 1
        # 0 in the middle and |arc| at the ends, or the reverse: never out of the frame.
        dy += arc * along * along if arc > 0 else arc * (along * along)
    map_x = np.broadcast_to(x + dx, (height, width))
    map_y = np.arange(height, dtype=np.float32)[:, None] + dy
    bent = cv2.remap(
        alpha, np.ascontiguousarray(map_x), np.ascontiguousarray(map_y), cv2.INTER_LINEAR
    )
    # remap pulls: the pixel at x shows x + dx; a point moves against it.
    moved = boxes.copy()
    moved[:, [0, 2]] = np.interp(boxes[:, [0, 2]], x + dx, x)
    centre = np.clip(boxes[:, [0, 2]].mean(1).astype(int), 0, width - 1)
    moved[:, [1, 3]] -= dy[centre][:, None]
    return np.asarray(bent, np.uint8), moved


def _wave(
    x: npt.NDArray[np.float32], height: int, amplitude: float, rng: random.Random
) -> npt.NDArray[np.float32]:
    if not amplitude:
        return np.zeros_like(x)
    total = np.zeros_like(x)
    for share, length in ((0.7, rng.uniform(3, 8)), (0.3, rng.uniform(1.2, 3))):
        phase = rng.uniform(0, 6.283)
        total += np.float32(share * amplitude) * np.sin(
            x * np.float32(6.283 / (length * height)) + phase
        )
    return total.astype(np.float32)
