"""A wide batch in parts, one after the other in the memory that one of them needs."""

import math
from collections.abc import Iterator

from crnn.data.loader import Batch

MOST_PIXELS = 1024 * 1024
"""Pixels of a part in training: 64 lines of 512 pixels at height 32, of which `lite` in bf16
keeps half a gigabyte of activations."""

_PER_CHARACTER = ("targets", "columns")


def in_parts(batch: Batch, most: float) -> Iterator[tuple[Batch, float]]:
    """The lines of a batch in as few parts as keep each to ``most`` pixels, or single lines.

    Args:
        batch: on any device; the parts are views of it, without its failures.
        most: padded pixels of a part.

    Yields:
        A part, as many lines as any other or one less, in the batch's order, and its share of
        the lines, so that the parts' means weighted by their shares are the batch's.
    """
    lines, _, height, width = batch.images.shape
    count = min(lines, math.ceil(lines * height * width / most))
    sizes = [len(part) for part in batch.lengths.tensor_split(count)]
    characters = [int(part.sum()) for part in batch.lengths.tensor_split(count)]
    fields = [
        getattr(batch, name).split(characters if name in _PER_CHARACTER else sizes)
        for name in Batch._fields[:-1]
    ]
    for size, *values in zip(sizes, *fields, strict=True):
        yield Batch._make([*values, []]), size / lines
