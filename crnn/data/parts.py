"""A wide batch in parts, one after the other in the memory that one of them needs."""

import math
from collections.abc import Iterator

import torch

from crnn.data.loader import Batch

MOST_PIXELS = 1024 * 1024
"""Padded pixels of a part: 64 lines of 512 pixels at height 32, of which `lite` in bf16 keeps half
a gigabyte of activations in training."""

_PER_CHARACTER = ("targets", "columns")


def in_parts(batch: Batch, device: torch.device) -> Iterator[tuple[Batch, float]]:
    """The lines of a batch in as few parts as keep each to `MOST_PIXELS`, or single lines.

    Args:
        batch: anywhere; the parts are views of it, without its failures.
        device: where a network takes them; on another than a CPU all is one part.

    Yields:
        A part, as many lines as any other or one less, in the batch's order, and its share of
        the lines, so that the parts' means weighted by their shares are the batch's.
    """
    lines, _, height, width = batch.images.shape
    is_cpu = device.type == "cpu"
    count = min(lines, math.ceil(lines * height * width / MOST_PIXELS)) if is_cpu else 1
    sizes = [len(part) for part in batch.lengths.tensor_split(count)]
    characters = [int(part.sum()) for part in batch.lengths.tensor_split(count)]
    fields = [
        getattr(batch, name).split(characters if name in _PER_CHARACTER else sizes)
        for name in Batch._fields[:-1]
    ]
    for size, *values in zip(sizes, *fields, strict=True):
        yield Batch._make([*values, []]), size / lines
