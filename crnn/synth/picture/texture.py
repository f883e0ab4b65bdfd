"""Backgrounds: a bank of drawn textures, and pictures from a folder."""

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from crnn_runtime.errors import CrnnError

Picture = npt.NDArray[np.float32]
"""(H, W, 3) RGB or (H, W, 1), relative to the paper, about -1 to 1."""

Texture = npt.NDArray[np.uint8]
"""The same as bytes: 128 is the paper, `UNIT` levels are 1."""

UNIT = 64
_HEIGHT, _WIDTH, _COPIES = 160, 640, 4
_SEED = 20170720
_KEPT = 64  # decoded pictures of the user's folder


def _cloud(rng: np.random.Generator, cells: Sequence[int], channels: int = 1) -> Picture:
    """Smooth noise, the sum of octaves with ``cells`` cells per height."""
    total = np.zeros((_HEIGHT, _WIDTH, channels), np.float32)
    for octave, count in enumerate(cells):
        grid = rng.standard_normal((count + 1, count * 4 + 1, channels), np.float32)
        large = cv2.resize(grid, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
        total += large.reshape(total.shape) * 0.6**octave
    return total / max(1e-6, 2 * float(total.std()))


def _paper(rng: np.random.Generator) -> Picture:
    fine = rng.standard_normal((_HEIGHT, _WIDTH), np.float32)
    fibres = cv2.GaussianBlur(fine, (0, 0), sigmaX=rng.uniform(0.8, 4), sigmaY=rng.uniform(0.6, 1))
    return np.asarray(
        _cloud(rng, (2, 5, 11)) * 0.5 + (fibres / fibres.std() / 4)[:, :, None], np.float32
    )


def _fabric(rng: np.random.Generator) -> Picture:
    rows, columns = np.mgrid[:_HEIGHT, :_WIDTH].astype(np.float32)
    pitch, slope = rng.uniform(2.5, 9), rng.uniform(-1, 1)
    weave = np.sin((rows + slope * columns) * (6.283 / pitch))
    if rng.random() < 0.6:
        weave *= np.sin((columns - slope * rows) * (6.283 / rng.uniform(2.5, 9)))
    return np.asarray(weave[:, :, None] * 0.5 + _cloud(rng, (2, 6)) * 0.5, np.float32)


def _brushed(rng: np.random.Generator) -> Picture:
    fine = rng.standard_normal((_HEIGHT, _WIDTH), np.float32)
    streaks = cv2.GaussianBlur(fine, (0, 0), sigmaX=rng.uniform(8, 40), sigmaY=0.7)
    return np.asarray(
        (streaks / streaks.std() / 2)[:, :, None] + _cloud(rng, (1, 3)) * 0.5, np.float32
    )


def _stone(rng: np.random.Generator) -> Picture:
    return _cloud(rng, (3, 9, 27, 60))


def _clutter(rng: np.random.Generator) -> Picture:
    """Draws the background of photographs: flat things with edges, lights and shadows."""
    canvas = np.full((_HEIGHT, _WIDTH, 3), rng.uniform(-0.5, 0.5, 3), np.float32)
    for _ in range(int(rng.integers(12, 40))):
        centre = rng.uniform((0, 0), (_WIDTH, _HEIGHT))
        size = rng.uniform(8, 120)
        colour = (rng.uniform(-0.7, 0.7) + rng.uniform(-0.3, 0.3, 3)).tolist()
        if rng.random() < 0.6:
            points = centre + rng.uniform(-size, size, (int(rng.integers(3, 7)), 2))
            cv2.fillPoly(canvas, [points.astype(np.int32)], colour, cv2.LINE_AA)
        elif rng.random() < 0.5:
            axes = (int(size / 2), int(rng.uniform(3, size)))
            place = (int(centre[0]), int(centre[1]))
            cv2.ellipse(canvas, place, axes, rng.uniform(0, 180), 0, 360, colour, -1)
        else:
            other = centre + rng.uniform(-200, 200, 2)
            ends = [tuple(map(int, end)) for end in (centre, other)]
            cv2.line(canvas, ends[0], ends[1], colour, int(rng.integers(1, 9)), cv2.LINE_AA)
    canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.7, 4)).astype(np.float32)
    return canvas + _cloud(rng, (2, 5, 40), 3) * 0.15


TEXTURES: dict[str, Callable[[np.random.Generator], Picture] | None] = {
    "plain": None,
    "paper": _paper,
    "fabric": _fabric,
    "brushed": _brushed,
    "stone": _stone,
    "clutter": _clutter,
}
"""Kinds of background; ``photo`` besides takes the user's pictures."""


@lru_cache(maxsize=32)
def _bank(kind: str, copy: int) -> npt.NDArray[np.uint8]:
    make = TEXTURES[kind]
    if make is None:
        raise KeyError(kind)
    number = list(TEXTURES).index(kind)
    picture = make(np.random.default_rng([_SEED, number, copy]))
    return np.clip(picture * UNIT + 128, 0, 255).astype(np.uint8)


class Backgrounds:
    """Draws backgrounds.

    Args:
        pictures: files or folders of the user's photographs, for the kind ``photo``.

    Raises:
        CrnnError: a folder has no picture.
    """

    def __init__(self, pictures: Sequence[Path] = ()) -> None:
        self.files: list[Path] = []
        for path in pictures:
            found = sorted(path.rglob("*")) if path.is_dir() else [path]
            self.files += [
                file for file in found if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")
            ]
        if pictures and not self.files:
            raise CrnnError(f"no picture (.jpg, .png, .webp) in {', '.join(map(str, pictures))}")

    def draw(self, rng: random.Random, kind: str, height: int, width: int) -> Texture:
        """A piece of a texture of (height, width) pixels, (H, W, 1) or (H, W, 3)."""
        source = (
            _photo(rng.choice(self.files))
            if kind == "photo"
            else _bank(kind, rng.randrange(_COPIES))
        )
        rows, columns = source.shape[:2]
        # A piece of the wanted shape at a random zoom, as far as the source allows.
        zoom = min(rows / height, columns / width, rng.uniform(0.4, 2.0))
        high, wide = max(1, int(height * zoom)), max(1, int(width * zoom))
        top, left = rng.randint(0, rows - high), rng.randint(0, columns - wide)
        piece = source[top : top + high, left : left + wide]
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        way = cv2.INTER_LINEAR if zoom < 1.5 else cv2.INTER_AREA
        resized = cv2.resize(np.ascontiguousarray(piece), (width, height), interpolation=way)
        return np.asarray(resized, np.uint8).reshape(height, width, -1)


@lru_cache(maxsize=_KEPT)
def _photo(file: Path) -> npt.NDArray[np.uint8]:
    try:
        coded = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise CrnnError(f"cannot read background {file}: {error.strerror}") from error
    image = cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB) if coded.size else None
    if image is None:
        raise CrnnError(f"background {file} is not a picture: remove it from the folder")
    scale = min(1.0, 640 / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small // 2 + 64, np.uint8)
