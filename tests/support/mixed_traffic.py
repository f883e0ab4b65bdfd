"""Reads as a server gets them: 40 requests of 1 to 70 lines each, 1,397 lines of all widths."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

READS = 40
LINES = 1397


def requests() -> Iterator[list[NDArray[np.uint8]]]:
    """The lines of each request, gray and 32 pixels high."""
    random = np.random.default_rng(18)
    cuts = np.sort(random.choice(np.arange(1, LINES), READS - 1, replace=False))
    for count in np.diff([0, *cuts, LINES]):
        widths = np.clip(random.lognormal(5.6, 0.7, count), 24, 2000).astype(int)
        yield [random.integers(0, 256, (32, width), np.uint8) for width in widths]
