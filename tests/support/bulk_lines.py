"""Thousands of pictures of lines, made of few with OpenCV alone, and what they read."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from crnn_runtime import Line, Recognizer

MODEL = "digits"
"""A shipped reader. Its texts do not matter, only that they are the same everywhere."""
DISTINCT = 250
EXAMPLES = Path(__file__).parents[2] / "examples" / "lines"


@cache
def pictures() -> tuple[bytes, ...]:
    """PNG files of `DISTINCT` pictures: the examples, two side by side, stretched."""
    sources = [
        cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
        for path in sorted(EXAMPLES.glob("*.png"))
    ]
    generator = np.random.default_rng(0)
    made = []
    for _ in range(DISTINCT):
        height = int(generator.integers(24, 40))
        chosen = generator.choice(len(sources), size=generator.integers(1, 4))
        parts = [
            cv2.resize(image, (max(8, image.shape[1] * height // image.shape[0]), height))
            for image in (sources[n] for n in chosen)
        ]
        joined = cv2.resize(cv2.hconcat(parts), None, fx=generator.uniform(0.8, 1.2), fy=1)
        made.append(cv2.imencode(".png", joined)[1].tobytes())
    return tuple(made)


@cache
def expected() -> tuple[Line, ...]:
    """Returns the lines that a `Recognizer` of this process reads in `pictures`."""
    with Recognizer(MODEL, threads=1) as recognizer:
        return tuple(recognizer.read(pictures()))


def write_lines(folder: Path, count: int) -> list[Path]:
    """Write pictures over and over, ten folders of them, in the order in which they are listed."""
    paths = [folder / f"{n * 10 // count}" / f"{n:06d}.png" for n in range(count)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures()[number % DISTINCT])
    return paths
