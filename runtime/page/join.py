"""Words on one baseline joined to a line."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.page.boxes import Box

_SAME_HEIGHT = 1.6  # times that one may be higher than the other
_SAME_LINE = 0.4  # heights that the middle of one may be off the other's axis
_SAME_ANGLE = np.cos(np.radians(8.0))
_LONG = 1.5  # width over height from which a word's angle can be trusted
_OVERLAP = 0.5  # heights that neighbours may overlap


def join_words(boxes: Sequence[Box], gap: float) -> list[Box]:
    """Join boxes whose texts follow each other.

    Args:
        boxes: the words.
        gap: most that may lie between two, in heights of the lower one.

    Returns:
        the joined boxes and those that stand alone; the score of a joined one is the mean of
        its words', by their widths.
    """
    if len(boxes) < 2:
        return list(boxes)
    leader = list(range(len(boxes)))

    def lead(number: int) -> int:
        while leader[number] != number:
            number = leader[number] = leader[leader[number]]
        return number

    for one, other in np.argwhere(_follow(boxes, gap)).tolist():
        leader[lead(one)] = lead(other)
    lines: dict[int, list[Box]] = {}
    for number, box in enumerate(boxes):
        lines.setdefault(lead(number), []).append(box)
    return [_whole(line) for line in lines.values()]


def _follow(boxes: Sequence[Box], gap: float) -> NDArray[np.bool_]:
    """(N, N), whether two boxes follow each other, seen along the wider one's text."""
    width = np.array([box.width for box in boxes])
    height = np.array([box.height for box in boxes])
    centre = np.stack([box.polygon.mean(0) for box in boxes])
    along = np.stack([box.polygon[1] - box.polygon[0] for box in boxes])
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    down = np.stack([-along[:, 1], along[:, 0]], 1)
    # [i, j]: box j seen along the text of box i.
    cosine, sine = along @ along.T, down @ along.T
    wide = np.abs(cosine) * width + np.abs(sine) * height
    high = np.abs(sine) * width + np.abs(cosine) * height
    apart = centre[None] - centre[:, None]
    ahead = np.abs(np.einsum("ijk,ik->ij", apart, along))
    off = np.abs(np.einsum("ijk,ik->ij", apart, down))
    low = np.minimum(height[:, None], high)
    space = ahead - (width[:, None] + wide) / 2
    alike = (cosine >= _SAME_ANGLE) | (width < _LONG * height)[None]
    tall = np.maximum(height[:, None], high) <= _SAME_HEIGHT * low
    near = (space >= -_OVERLAP * low) & (space <= gap * low) & (off <= _SAME_LINE * low)
    wider = width[:, None] >= width[None]
    found: NDArray[np.bool_] = alike & tall & near & wider & ~np.eye(len(boxes), dtype=bool)
    return found


def _whole(line: Sequence[Box]) -> Box:
    """The least rectangle around the words of a line; its text runs as the widest one's."""
    if len(line) == 1:
        return line[0]
    widest = max(line, key=lambda box: box.width)
    corners = np.concatenate([box.polygon for box in line])
    found = np.asarray(cv2.boxPoints(cv2.minAreaRect(corners)), np.float32)  # clockwise
    sides = np.roll(found, -1, axis=0) - found
    first = int(np.argmax(sides @ (widest.polygon[1] - widest.polygon[0])))
    score = np.average([box.score for box in line], weights=[box.width for box in line])
    return Box(np.roll(found, -first, axis=0), float(score))
