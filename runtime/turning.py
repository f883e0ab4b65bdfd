"""Pictures that stand on their head or on their side: read again, turned, where it pays.

A line upside down is read as rubbish, with little confidence. So a line that is read
without confidence is read once more the other way round, and one much taller than wide on
both its sides as well. The turned reading counts only if it leaves less than half as much
doubt as the first: characters that look alike upside down (`0`, `6`, `S`) must not turn
what was read right. The two numbers were chosen on 2,008 real lines, see
benchmarks/NOTES.md: none that was read right is turned.
"""

from collections.abc import Sequence
from typing import Literal

from crnn_runtime.line import Line
from crnn_runtime.picture.preprocess import MAX_TALL, Piece

Turn = Literal["auto"]
"""The ways to turn pictures: ``auto`` as this module describes. None leaves them as they stand."""

SURE = 0.9
"""Confidence from which on a line is not read again."""
_DOUBT = 0.5  # of the first reading's doubt that a turned one may have at most
_TALL = 1.5  # height over width from which on a picture may be a line on its side


class Turns:
    """The readings of one picture: `enter` each, and read it again as that says."""

    def __init__(self) -> None:
        self._readings: list[Line] = []
        self._left: list[int] = []

    def enter(self, line: Line, pieces: Sequence[Piece]) -> int | None:
        """Take in a reading of the picture, in the pieces that it was read in.

        Returns:
            degrees, clockwise, by which to turn the picture for the next reading; None if
            there is none.
        """
        self._readings.append(line)
        if len(self._readings) == 1 and pieces and doubt(line) > 1 - SURE:
            width = pieces[-1].offset + pieces[-1].width
            self._left = _other_ways(line.turned, pieces[0].height, width)
        return self._left.pop(0) if self._left else None

    @property
    def result(self) -> Line:
        """The reading that counts: the first, unless another leaves much less doubt."""
        first, best = self._readings[0], min(self._readings, key=doubt)
        is_clear = doubt(best) < _DOUBT * doubt(first) and best.text != first.text
        return best if is_clear else first


def doubt(line: Line) -> float:
    """Returns how doubtful a reading is, 0 to 1: 1 if nothing was read."""
    return 1 - line.confidence if line.text.strip() else 1.0


def first_way(height: int, width: int) -> int:
    """Degrees by which a picture is turned before it is read at all: one too tall to be a line."""
    return 90 if height > MAX_TALL * width else 0


def _other_ways(turned: int, height: int, width: int) -> list[int]:
    """Degrees by which a picture may be turned, too, that was first read ``turned``.

    ``height`` and ``width`` are those that it was read in.
    """
    if turned:  # no line as it stands
        return [(turned + 180) % 360]
    return [90, 270, 180] if height >= _TALL * width else [180]
