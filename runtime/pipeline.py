"""What a stream does to images, and how much of it at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.line import Line
from crnn_runtime.picture.load import ImageSource
from crnn_runtime.picture.long_lines import Piece

LOOK_AHEAD = 256
"""Images that are taken from the iterable before the first of them is handed out, at most."""
MAX_BYTES = 64_000_000
"""Of images and strips that wait; when it is reached no further image is taken."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A piece of a line as the model will see it.

    Attributes:
        piece: what it shows of the source image.
        pixels: (H, w, C), H the model's height.
        bucket: width that it is padded to.
    """

    piece: Piece
    pixels: NDArray[np.uint8]
    bucket: int


class Stages(Protocol):
    """What is done to images; called from several threads at once."""

    def prepare(self, source: ImageSource) -> list[Strip] | Line:
        """An image → its strips, or the line if there is nothing to be read."""
        ...

    def read(self, strips: Sequence[Strip]) -> list[Line]:
        """Strips of one bucket → what each says."""
        ...

    def join(self, pieces: Sequence[Piece], readings: Sequence[Line]) -> Line:
        """The pieces of an image → its line."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is done at once.

    Attributes:
        batch: bucket → strips that are read together at most.
        look_ahead: see `LOOK_AHEAD`.
        max_bytes: see `MAX_BYTES`.
        workers: threads that prepare images; with 0 everything is done in the
            caller's thread, which is quickest where there is nothing to overlap.
    """

    batch: Callable[[int], int]
    look_ahead: int = LOOK_AHEAD
    max_bytes: int = MAX_BYTES
    workers: int = 1
