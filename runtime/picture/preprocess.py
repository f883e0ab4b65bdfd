"""The one way from a picture to a network's input, for training and deployment alike.

Everything that feeds a network calls these functions, so a model sees in
production what it saw in training. Two rules keep a line's reading independent
of the lines it is batched with:

- The width a line is padded to, `padded_width`, depends on that line alone, and
  a batch holds lines of one padded width.
- Steps that lie wholly in the padding are never decoded, see `valid_steps`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ImageError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import PlainSource, load_line

OVERLAP = 3.0
"""The overlap of consecutive pieces in line heights: a few characters of any script."""
MAX_ASPECT = 2000
"""An image with a larger ratio of width to height is taken for a mistake."""
MAX_TALL = 32
"""An image with a larger ratio of height to width is, too: a line would be squeezed to a column."""
_FINEST_STEP = 32
_STEPS_PER_OCTAVE = 8


def prepare(image: PlainSource, card: ModelCard) -> tuple[NDArray[np.float32], int]:
    """One image → network input (1, C, H, W) and the number of valid time steps.

    Raises:
        ImageError: the image cannot be read or is too long for the model.
    """
    line = resize_line(load_line(image, card)[0], card)
    return to_input([line], card), valid_steps(card, line.shape[1])


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a source image, from top to bottom. Lengths are in pixels of the source.

    Attributes:
        offset: its left edge.
        width: of the piece.
        height: of the source.
    """

    offset: int
    width: int
    height: int

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Its pixels, (H, w) or (H, w, C): a view of the source image.

        That may have been decoded smaller if this is its only piece.
        """
        return image[:, self.offset : self.offset + self.width]


def cut(height: int, width: int, card: ModelCard) -> list[Piece]:
    """The pieces of a line, from left to right; one unless it is too wide for the model.

    Raises:
        ImageError: it is more than `MAX_ASPECT` times as wide as high, or `MAX_TALL` times
            as high as wide.
    """
    if width > MAX_ASPECT * height:
        raise ImageError(
            f"image is {width} × {height} pixels, more than {MAX_ASPECT} times as wide as high: "
            "cut out the line first"
        )
    if height > MAX_TALL * width:
        raise ImageError(
            f"image is {width} × {height} pixels, more than {MAX_TALL} times as high as wide: "
            "cut out the line first, or turn it"
        )
    step = card.time_stride * height / card.height  # of one time step, in pixels of the source
    # A step less than the model takes: room for the last piece, which ends with the line.
    longest = max(1, (card.max_width - card.time_stride) * height // card.height)
    if card.width is not None or width <= longest:
        return [Piece(0, width, height)]
    overlap = min(int(OVERLAP * height), longest // 3)
    count = -(-(width - overlap) // (longest - overlap))
    # Equal distances, so that no sliver is left, and whole time steps, so that a
    # network sees the columns of the pieces as it would see those of the whole.
    steps = np.floor(np.linspace(0, width - longest, count) / step)
    offsets = (steps * step).round().astype(int).tolist()
    ends = [offset + longest for offset in offsets[:-1]] + [width]
    return [Piece(start, end - start, height) for start, end in zip(offsets, ends, strict=True)]


def scaled_width(card: ModelCard, height: int, width: int) -> int:
    """Width in pixels of a (height, width) image once it is `ModelCard.height` high.

    Raises:
        ImageError: wider than `ModelCard.max_width`.
    """
    if card.width is not None:
        return card.width
    scaled = max(1, int(width * card.height / height + 0.5))
    if scaled > card.max_width:
        raise ImageError(
            f"line is {scaled} pixels wide at height {card.height}, the model reads "
            f"{card.max_width}: cut it into pieces"
        )
    return scaled


def width_bucket(width: int) -> int:
    """The least bucket that holds ``width``: a multiple of 32 up to 512, of 64 up to 1024, …

    Eight buckets an octave keep the padding under one eighth of a wide line and
    the number of distinct shapes, each of which costs a GPU a warm-up, at 32
    for widths up to 2048.
    """
    octave = 1 << max(0, width - 1).bit_length()
    step = max(_FINEST_STEP, octave // (2 * _STEPS_PER_OCTAVE))
    return -(-width // step) * step


def padded_width(card: ModelCard, width: int) -> int:
    """Width in pixels that a line ``width`` wide has in the network's input."""
    if card.width is not None:
        return width
    if card.min_width == card.max_width:  # the graph takes no other
        return card.max_width
    return max(card.min_width, width_bucket(width))


def valid_steps(card: ModelCard, width: int) -> int:
    """Time steps centred within a line ``width`` pixels wide, at least 1.

    The network may give fewer (its T is the limit) or more (those are padding).
    """
    return max(1, int((width - card.time_origin) // card.time_stride) + 1)


def resize_line(image: NDArray[np.uint8], card: ModelCard) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C) → (`ModelCard.height`, `scaled_width`, C)."""
    height, width = image.shape[:2]
    size = (scaled_width(card, height, width), card.height)
    if size != (width, height):
        # Averaging when shrinking avoids the aliasing that interpolation leaves.
        averages = height > card.height and card.shrink == "area"
        mode = cv2.INTER_AREA if averages else cv2.INTER_LINEAR
        image = cv2.resize(image, size, interpolation=mode)  # type: ignore[assignment]
    return image.reshape(size[1], size[0], card.channels)


def to_input(lines: Sequence[NDArray[np.uint8]], card: ModelCard) -> NDArray[np.float32]:
    """Lines (H, w_i, C) → normalised (N, C, H, W), W the padded width of the widest.

    Padding has the colour `ModelCard.pad`; the mean, 0, is what convolutions pad with.
    """
    width = max(padded_width(card, line.shape[1]) for line in lines)
    batch = np.zeros((len(lines), card.channels, card.height, width), np.float32)
    scale = (1.0 / (255.0 * np.asarray(card.std))).astype(np.float32)
    shift = (-np.asarray(card.mean) / np.asarray(card.std)).astype(np.float32)
    for n, line in enumerate(lines):
        end = line.shape[1]
        for c in range(card.channels):
            target = batch[n, c, :, :end]
            np.multiply(line[:, :, c], scale[c], out=target)
            target += shift[c]
            if card.pad == "edge":
                batch[n, c, :, end:] = target[:, -1:]
            elif card.pad != "mean":
                batch[n, c, :, end:] = shift[c] + (255 * scale[c] if card.pad == "white" else 0)
    return batch
