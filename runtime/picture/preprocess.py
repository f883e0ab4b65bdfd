"""The one way from a picture to a network's input, for training and deployment alike.

Everything that feeds a network calls these functions, so a model sees in
production what it saw in training. Two rules keep a line's reading independent
of the lines it is batched with:

- The width a line is padded to, `padded_width`, depends on that line alone, and
  a batch holds lines of one padded width.
- Steps that lie wholly in the padding are never decoded, see `valid_steps`.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ImageError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import REDUCTIONS, ImageSource, load_reduced

_SPARE = 2  # how many times as high as needed a JPEG is decoded at least
_UNCUT = 0.95  # of the widest line: certain to be read in one piece, edges lost or not
_FINEST_STEP = 32
_STEPS_PER_OCTAVE = 8


def prepare(image: ImageSource, card: ModelCard) -> tuple[NDArray[np.float32], int]:
    """One image → network input (1, C, H, W) and the number of valid time steps.

    Raises:
        ImageError: the image cannot be read or is too long for the model.
    """
    line = resize_line(load_line(image, card)[0], card)
    return to_input([line], card), valid_steps(card, line.shape[1])


def load_line(image: ImageSource, card: ModelCard) -> tuple[NDArray[np.uint8], int]:
    """An image in the model's colours, and source pixels per pixel of it along each axis.

    A JPEG that is at least four times as high as the model's lines is decoded at a
    half, a quarter or an eighth of its size, at least twice as high as they are:
    the decoder averages, which `resize_line` would do after it. What `resize_line`
    makes of it differs by less than 2 of 255 grey levels on average, most at sharp
    edges. Lines that must be cut are decoded whole.

    Raises:
        ImageError: see `crnn_runtime.picture.load.load_image`.
    """
    return load_reduced(image, card.color, lambda height, width: _reduction(card, height, width))


def _reduction(card: ModelCard, height: int, width: int) -> int:
    low, long = sorted((height, width))  # a quarter turn may still follow
    room = _UNCUT * (card.max_width - card.time_stride)
    if card.shrink != "area" or (card.width is None and long * card.height > room * low):
        return 1
    return max(step for step in REDUCTIONS if step == 1 or low >= _SPARE * step * card.height)


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
