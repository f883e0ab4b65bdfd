"""Whether a reduced precision is worth it: the file's size, and for CPUs the time of a line."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import open_backend
from crnn_runtime.picture.preprocess import to_input

_LINES = 20  # that are timed
_TURNS = 5
_WORTH = 0.95  # of the size or of the time: more is no gain


@dataclass(frozen=True)
class Gain:
    """The savings of a reduced file.

    Attributes:
        before: bytes of the float32 file.
        after: bytes of the reduced one.
        time: of a line, over that of the float32 file; None where it was not measured,
            because the precision is for a GPU.
    """

    before: int
    after: int
    time: float | None = None

    @property
    def is_smaller(self) -> bool:
        """Whether the file is smaller by more than a trifle."""
        return self.after <= _WORTH * self.before

    @property
    def is_faster(self) -> bool:
        """Whether a line takes less time, as far as that was measured."""
        return self.time is not None and self.time <= _WORTH

    def __str__(self) -> str:
        sizes = f"{self.after / 1e6:.2f} MB instead of {self.before / 1e6:.2f}"
        if self.time is None:
            text = sizes
        else:
            text = f"{sizes}, and a line takes {self.time:.2f} of the time on this CPU"
        if not self.is_smaller and not self.is_faster:
            return f"none, keep the float32 file: {text}"
        if self.time is not None and not self.is_faster:
            return f"smaller, but not faster: {text}"
        return text


def measure_gain(
    before: Path, after: Path, precision: str, lines: Sequence[NDArray[np.uint8]]
) -> Gain:
    """Compare two files, by turns in one thread's processor time where a CPU is to run them.

    Args:
        before: the float32 file.
        after: the reduced one.
        precision: of it.
        lines: (H, w, C), of which some are read.
    """
    sizes = before.stat().st_size, after.stat().st_size
    if precision != "int8-cpu":
        return Gain(*sizes)
    with open_backend(before, threads=1) as one, open_backend(after, threads=1) as two:
        inputs = [to_input([line], one.card) for line in lines[:_LINES]]
        seconds = np.zeros((_TURNS + 1, 2))
        for turn in range(_TURNS + 1):  # the first warms up
            for number, backend in enumerate((one, two)):
                start = time.process_time()
                for images in inputs:
                    backend.infer(images)
                seconds[turn, number] = time.process_time() - start
    ratios = seconds[1:, 1] / np.maximum(seconds[1:, 0], 1e-9)
    return Gain(*sizes, float(np.median(ratios)))
