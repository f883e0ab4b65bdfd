"""Shows a page as a clean picture, a scan or a photograph, or turned."""

import dataclasses
import math
import random

import cv2
import numpy as np
import numpy.typing as npt

from crnn.synth.page.sheet import PageText, Sheet
from crnn.synth.picture.degrade import degrade
from crnn.synth.picture.look import Camera, Chance
from crnn.synth.picture.paint import PALETTES, Pixels
from crnn.synth.picture.texture import UNIT, Backgrounds

Image = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]

VIEWS = {"clean": 2.0, "scan": 3.0, "photo": 3.0, "turned": 1.0}
"""Relative frequency of each view of a page; ``turned`` is a scan that lies on its side or head."""

_CLEAN = Camera(jpeg=Chance(0.5, low=5, high=30))
_SCAN = Camera(
    blur=Chance(0.6, low=0.3, high=0.8), noise=Chance(0.5, low=1, high=6),
    jpeg=Chance(0.7, low=10, high=50), salt=Chance(0.1, low=1e-5, high=1e-4),
)  # fmt: skip
_PHOTO = Camera(
    blur=Chance(0.7, low=0.3, high=0.9), noise=Chance(0.6, low=1, high=7),
    jpeg=Chance(0.9, low=10, high=50), lowres=Chance(0.2, low=1.05, high=1.2),
)  # fmt: skip
_CAMERAS = {"clean": _CLEAN, "scan": _SCAN, "photo": _PHOTO, "turned": _SCAN}
_TILT = 1.5  # degrees that a scan may lean


def view(
    sheet: Sheet, kind: str, textures: Backgrounds, rng: random.Random
) -> tuple[Image, list[PageText]]:
    """Paint a sheet and look at it.

    Args:
        sheet: what stands on it.
        kind: a key of `VIEWS`.
        textures: of paper and table.
        rng: of the chances.

    Returns:
        (H, W, 3) RGB, and the lines with their corners in it.
    """
    paper = _paint(sheet, kind, textures, rng)
    if kind == "photo":
        height, width, matrix = _camera(sheet, rng)
        picture = _table(height, width, textures, rng)
    else:
        height, width, matrix = _scanner(sheet, rng, tilt=kind != "clean")
        if kind == "turned":
            height, width, matrix = _turn(height, width, matrix, rng.choice((1, 2, 3)))
        picture = np.full((height, width, 3), paper[0, 0], np.float32)
    shown = cv2.warpPerspective(
        paper, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    ).reshape(height, width, 3)
    inside = cv2.warpPerspective(
        np.ones(paper.shape[:2], np.float32), matrix, (width, height), flags=cv2.INTER_LINEAR
    )[:, :, None]
    picture = np.asarray(shown + picture * (1 - inside), np.float32)
    if kind == "photo":
        _light(picture, rng)
    lines = [
        dataclasses.replace(line, polygon=_through(line.polygon, matrix)) for line in sheet.lines
    ]
    return degrade(picture, _CAMERAS[kind], rng), lines


def _paint(sheet: Sheet, kind: str, textures: Backgrounds, rng: random.Random) -> Pixels:
    """(H, W, 3), ink on paper."""
    ink, paper = PALETTES["print"](rng)
    if sum(ink) > sum(paper):  # only bars are white on dark
        ink, paper = paper, ink
    paper = tuple(max(170.0, level) for level in paper)  # type: ignore[assignment]
    picture = np.empty((sheet.height, sheet.width, 3), np.float32)
    picture[:] = paper
    if kind != "clean":
        grain = textures.draw(rng, rng.choice(("paper", "stone")), sheet.height, sheet.width)
        strength = rng.uniform(1, 8) / UNIT
        picture += (grain.astype(np.float32) - 128) * np.float32(strength)
    share = sheet.ink.astype(np.float32) / np.float32(255)
    bars = sheet.inverse.astype(np.float32) / np.float32(255)
    share = np.abs(share - bars)[:, :, None]
    picture += (np.array(ink, np.float32) - picture) * share
    return picture


def _table(height: int, width: int, textures: Backgrounds, rng: random.Random) -> Pixels:
    """Draws the surface that a page lies on."""
    base = [rng.uniform(20, 190) for _ in range(3)]
    kind = rng.choice(("brushed", "fabric", "stone", "photo" if textures.files else "clutter"))
    grain = textures.draw(rng, kind, height, width).astype(np.float32) - 128
    return np.asarray(np.array(base, np.float32) + grain * np.float32(rng.uniform(0.1, 0.6)))


def _scanner(sheet: Sheet, rng: random.Random, *, tilt: bool) -> tuple[int, int, Matrix]:
    angle = math.radians(rng.uniform(-_TILT, _TILT)) if tilt and rng.random() < 0.7 else 0.0
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y = sheet.width / 2, sheet.height / 2
    matrix = np.array(
        [[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y],
         [0, 0, 1]]
    )  # fmt: skip
    return sheet.height, sheet.width, matrix


def _turn(height: int, width: int, matrix: Matrix, quarters: int) -> tuple[int, int, Matrix]:
    """Lay the picture on its side or on its head."""
    for _ in range(quarters):
        matrix = np.array([[0, -1, height], [1, 0, 0], [0, 0, 1]]) @ matrix
        height, width = width, height
    return height, width, matrix


def _camera(sheet: Sheet, rng: random.Random) -> tuple[int, int, Matrix]:
    """A page seen at an angle, a margin of table around it."""
    margin = rng.uniform(0.03, 0.1) * max(sheet.height, sheet.width)
    width, height = round(sheet.width + 2 * margin), round(sheet.height + 2 * margin)
    angle = math.radians(rng.uniform(-4, 4))
    corners = np.array(
        [[0, 0], [sheet.width, 0], [sheet.width, sheet.height], [0, sheet.height]], np.float64
    )
    centre = corners.mean(0)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    seen = (corners - centre) @ turn.T + np.array([width / 2, height / 2])
    far = rng.uniform(0, 0.09)
    side = rng.randrange(4)  # which edge is farther away
    first, second = side, (side + 1) % 4
    middle = (seen[first] + seen[second]) / 2
    for corner in (first, second):
        seen[corner] += (middle - seen[corner]) * far
    seen = np.clip(seen, 2, [width - 3, height - 3])
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), seen.astype(np.float32))
    return height, width, np.asarray(matrix, np.float64)


def _light(picture: Pixels, rng: random.Random) -> None:
    """A lamp at one side, and perhaps the photographer's shadow."""
    height, width, _ = picture.shape
    down, across = rng.uniform(-1, 1), rng.uniform(-1, 1)
    rows = np.linspace(-down, down, height, dtype=np.float32)[:, None]
    columns = np.linspace(-across, across, width, dtype=np.float32)[None, :]
    light = 1 + (rows + columns) * np.float32(rng.uniform(0, 0.16))
    if rng.random() < 0.4:
        shade = np.zeros((height // 8 + 1, width // 8 + 1), np.float32)
        points = [[rng.uniform(-0.2, 1.2) * width / 8, rng.uniform(-0.2, 1.2) * height / 8]
                  for _ in range(4)]  # fmt: skip
        cv2.fillPoly(shade, [np.array(points, np.int32)], 1.0)
        soft = cv2.GaussianBlur(shade, (0, 0), rng.uniform(2, 12))
        light *= 1 - cv2.resize(soft, (width, height)) * np.float32(rng.uniform(0.1, 0.4))
    picture *= light[:, :, None]


def _through(polygon: npt.NDArray[np.float32], matrix: Matrix) -> npt.NDArray[np.float32]:
    moved = cv2.perspectiveTransform(polygon.reshape(1, 4, 2), matrix)
    return np.asarray(moved, np.float32).reshape(4, 2)
