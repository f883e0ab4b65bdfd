"""Joins what was read in the pieces of a line that is wider than a model reads at once.

Such a line is cut into overlapping pieces, see `crnn_runtime.picture.preprocess.cut`:
squeezed, its letters could not be read. In each overlap a seam is put in the middle
of the widest gap between characters. The piece on the left is trusted up to the
seam, the piece on the right from there on, so a character that was cut is never used.
"""

from collections.abc import Sequence

import numpy as np

from crnn_runtime.decode.greedy import line_confidence
from crnn_runtime.line import Char, Line
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.preprocess import Piece


def join(pieces: Sequence[Piece], lines: Sequence[Line], card: ModelCard) -> Line:
    """Joins the lines that the pieces of a picture gave, positions in pixels of each piece, into
    one.
    """
    placed = [
        [Char(c.char, c.confidence, c.x0 + piece.offset, c.x1 + piece.offset) for c in line.chars]
        for piece, line in zip(pieces, lines, strict=True)
    ]
    seams = [
        seam(left, after.offset, before.offset + before.width)
        for before, after, left in zip(pieces, pieces[1:], placed, strict=False)
    ]
    bounds = [-np.inf, *seams, np.inf]
    chars: list[Char] = []
    raw = ""
    for number, (piece, line) in enumerate(zip(pieces, lines, strict=True)):
        start, end = bounds[number : number + 2]
        chars += [c for c in placed[number] if start <= (c.x0 + c.x1) / 2 < end]
        path = card.alphabet.split(line.raw)  # one entry a time step
        first, last = (_step(x, piece, len(path), card) for x in (start, end))
        raw += "".join(path[first:last])
    scores = [c.confidence for c in chars] or [line.confidence for line in lines]
    return Line(
        text="".join(c.char for c in chars),
        confidence=line_confidence(np.array(scores)),
        raw=raw,
        chars=tuple(chars),
        pieces=len(pieces),
        turned=lines[0].turned,
    )


def seam(chars: Sequence[Char], start: float, end: float) -> float:
    """The middle of the widest gap in the middle half of an overlap."""
    quarter = (end - start) / 4
    start, end = start + quarter, end - quarter
    edges = [start]
    for char in chars:
        if char.x1 > start and char.x0 < end:
            edges += [max(char.x0, start), min(char.x1, end)]
    edges.append(end)
    gaps = [
        (right - left, (left + right) / 2)
        for left, right in zip(edges[::2], edges[1::2], strict=True)
    ]
    return max(gaps)[1]


def _step(x: float, piece: Piece, steps: int, card: ModelCard) -> int:
    """The first of a piece's time steps at or right of ``x`` in pixels of the source."""
    if np.isinf(x):
        return 0 if x < 0 else steps
    scaled = (x - piece.offset) * card.height / piece.height
    step = int(np.ceil((scaled - 0.5 - card.time_origin) / card.time_stride))
    return min(max(step, 0), steps)
