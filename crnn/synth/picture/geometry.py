"""Placing the line in its picture: margins, perspective, shear, curve, elastic warp."""

import math
import random

import cv2
import numpy as np
import numpy.typing as npt

from crnn.synth.fonts.glyphs import Mask
from crnn.synth.picture.layout import Boxes, Layout
from crnn.synth.picture.look import Camera, Look

Matrix = npt.NDArray[np.float64]

_CORNERS = [0, 1, 2, 1, 0, 3, 2, 3]  # of a box x0, y0, x1, y1
_MAX_WIDTH = 2400  # pixels; a longer line is squeezed
_STEEPEST = 0.45  # share of the picture's height that a slanting line may climb


def place(layout: Layout, look: Look, rng: random.Random) -> Layout:
    """Warp the line into the picture's frame.

    Returns:
        The line in the picture: `Layout.alpha` is (H, W).
    """
    rows, columns = layout.alpha.shape
    height = rng.randint(*look.frame.height)
    corners = _bend(rows, columns, look.camera, rng)
    arc = look.camera.curve.draw(rng) * layout.size
    arc = min(abs(arc), 0.5 * rows) * (1 if rng.random() < 0.5 else -1) if arc else 0.0
    xs, ys = zip(*corners, strict=True)
    scale = height / (max(ys) - min(ys) + abs(arc))
    stretch = scale * rng.uniform(*look.setting.stretch)
    natural = max(4.0, (max(xs) - min(xs)) * stretch)
    width, offset = round(min(natural, _MAX_WIDTH)), 0.0
    if look.frame.width is not None:
        width = look.frame.width
        offset = max(0.0, width - natural) * rng.random() ** 2
    stretch *= min(1.0, (width - offset) / natural)
    left, top = min(xs) - offset / stretch, min(ys) - max(0.0, arc)
    target = [((x - left) * stretch, (y - top) * scale) for x, y in corners]
    source = [(0, 0), (columns, 0), (columns, rows), (0, rows)]
    matrix = cv2.getPerspectiveTransform(np.array(source, np.float32), np.array(target, np.float32))
    kernel = (1, 1)
    if scale < 0.6:
        kernel = (2, 2) if scale > 0.4 else (3, 3)
    # Shrinking far with bilinear sampling alone would leave single pixels of strokes.
    masks = [
        np.asarray(cv2.warpPerspective(cv2.blur(mask, kernel), matrix, (width, height)), np.uint8)
        for mask in (layout.alpha, layout.panel)
        if mask is not None
    ]
    boxes = _transform(layout.boxes, np.asarray(matrix, np.float64))
    waves = look.camera.elastic.draw(rng)
    if arc or waves:
        masks, boxes = _ripple(masks, boxes, -arc * scale, waves, rng)
    return Layout(masks[0], boxes, layout.size, masks[1] if layout.panel is not None else None)


def _bend(rows: int, columns: int, camera: Camera, rng: random.Random) -> list[tuple[float, float]]:
    """The corners of the line's frame after shear, perspective and rotation, clockwise."""
    xs = [0.0, columns, columns, 0.0]
    ys = [0.0, 0.0, rows, rows]
    if shear := camera.shear.draw(rng):
        xs[0] += shear * rows
        xs[1] += shear * rows
    if shrink := camera.perspective.draw(rng):
        side = rng.randrange(4)
        if side < 2:  # the left or the right end is farther away
            rise = rng.uniform(-0.5, 0.5) * shrink * rows
            for corner in (0, 3) if side else (1, 2):
                ys[corner] = rows / 2 + (ys[corner] - rows / 2) * (1 - shrink) + rise
        else:
            shift = shrink * min(rows, columns) * 0.5
            first, second = (0, 1) if side == 2 else (3, 2)
            xs[first] += shift
            xs[second] -= shift
    if angle := camera.rotate.draw(rng):
        steepest = math.atan(_STEEPEST * rows / columns) if columns > rows else 0.5
        turn = max(-steepest, min(steepest, math.radians(angle)))
        cosine, sine = math.cos(turn), math.sin(turn)
        return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in zip(xs, ys, strict=True)]
    return list(zip(xs, ys, strict=True))


def _transform(boxes: Boxes, matrix: Matrix) -> Boxes:
    """Axis-aligned boxes around the images of boxes."""
    corners = boxes[:, _CORNERS].reshape(-1, 1, 2)
    points = np.asarray(cv2.perspectiveTransform(corners, matrix)).reshape(-1, 4, 2)
    moved = np.empty_like(boxes)
    points.min(1, out=moved[:, :2])
    points.max(1, out=moved[:, 2:])
    return moved


def _ripple(
    masks: list[Mask], boxes: Boxes, arc: float, waves: float, rng: random.Random
) -> tuple[list[Mask], Boxes]:
    """Bend the baseline to an arc (pixels, negative lowers the ends) and ripple the picture."""
    height, width = masks[0].shape
    x = np.arange(width, dtype=np.float32)
    # Two phases of a slow and a quick wave, along the line only: strokes stay strokes.
    dx, dy = (_wave(x, height, waves, rng) for _ in range(2))
    if arc:
        along = x / width * 2 - 1
        # 0 in the middle and |arc| at the ends, or the reverse: never out of the frame.
        dy += arc * along * along if arc > 0 else arc * (along * along)
    map_x = np.broadcast_to(x + dx, (height, width))
    map_y = np.arange(height, dtype=np.float32)[:, None] + dy
    map_x, map_y = np.ascontiguousarray(map_x), np.ascontiguousarray(map_y)
    bent = [np.asarray(cv2.remap(mask, map_x, map_y, cv2.INTER_LINEAR), np.uint8) for mask in masks]
    # remap pulls: the pixel at x shows x + dx; a point moves against it.
    moved = boxes.copy()
    moved[:, [0, 2]] = np.interp(boxes[:, [0, 2]], x + dx, x)
    centre = np.clip(boxes[:, [0, 2]].mean(1).astype(int), 0, width - 1)
    moved[:, [1, 3]] -= dy[centre][:, None]
    return bent, moved


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
