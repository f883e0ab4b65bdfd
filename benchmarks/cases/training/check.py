"""Measures the time that the pre-flight takes on a large annotation file.

    crnn-bench train-check --lines 1000000
    crnn-bench train-check --lines 50000 --images

Without images, lines are read and their codes checked. With them, as many small
pictures are written first, and measured twice: anew and from the cache.
"""

import tempfile
import time
from pathlib import Path

import click
import cv2
import numpy as np

from crnn.data.check import check, describe
from crnn.model import default_card
from crnn.training.inputs import steps_of
from crnn_runtime.console import Command
from crnn_runtime.model.alphabet import Alphabet


def write_codes(folder: Path, lines: int, characters: int) -> Path:
    """An annotation file in the original's format: ten codes a line, one in 100,000 bad."""
    rng = np.random.default_rng(0)
    codes = rng.integers(1, characters + 1, (lines, 10))
    codes[50_000::100_000, 4] = characters + 1
    file = folder / "train.txt"
    with file.open("w") as out:
        for number, row in enumerate(codes.tolist()):
            out.write(f"{number:08d}_{number * 7919 % 10**9}.jpg {' '.join(map(str, row))}\n")
    return file


@click.command(cls=Command)
@click.option("--lines", type=click.IntRange(min=1), default=1_000_000, show_default=True)
@click.option("--images", is_flag=True, help="Write and measure a picture for every line, too.")
def main(lines: int, images: bool) -> None:
    """Measure the pre-flight."""
    card = default_card("mobilenetv2_cifar", Alphabet.load("zh"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = write_codes(folder, lines, len(card.alphabet))
        if images:
            (folder / "images").mkdir()
            picture = cv2.imencode(".jpg", np.full((32, 280, 3), 128, np.uint8))[1].tobytes()
            for line in file.read_text().splitlines():
                (folder / "images" / line.split()[0]).write_bytes(picture)
        for attempt in ("first", "again") if images else ("first",):
            start = time.perf_counter()
            data = check(file, card, steps_of(card), images=images)
            text = describe(data, card)
            seconds = time.perf_counter() - start
            click.echo(
                f"{attempt}: {lines} lines, {len(data.defects)} defects named, {seconds:.1f} s"
            )
        click.echo("\n".join(text))
