"""Characters as points in space: those that look alike lie close to each other."""

import dataclasses
import logging
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn.synth.fonts.faces import Face
from crnn.synth.fonts.glyphs import Glyph, SizedFace

logger = logging.getLogger(__name__)

_EM, _MARGIN, _SIDE = 32, 4, 20
_FAMILIES = 12
_COVERED = 0.5
_RIDGE = 0.1

Image = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Characters as points.

    Attributes:
        points: (characters, dimensions) float32; the mean of all is the origin, and how much
            one character varies from font to font is 1 in every direction.
        known: (characters,) bool; the points of others, which no face draws, are 0.
    """

    points: NDArray[np.float32]
    known: NDArray[np.bool_]


def glyph_shapes(characters: Sequence[str], faces: Sequence[Face], dimensions: int) -> Shapes:
    """Place characters where linear discriminant analysis of their glyphs puts them.

    The directions that tell characters apart best for how much fonts differ (Fisher 1936;
    for many classes Rao 1948): drawn in a face of each of a dozen families, blurred,
    20 × 20 pixels, moved by up to half a pixel.

    Args:
        characters: to place.
        faces: that draw them; the first of each family that has half of the characters.
        dimensions: of the points; those beyond what the glyphs tell apart are 0.

    Raises:
        CrnnError: a font file cannot be opened.
    """
    pictures, owners = _draw(characters, _chosen(characters, faces))
    count = np.bincount(owners, minlength=len(characters))
    shapes = Shapes(np.zeros((len(characters), dimensions), np.float32), count > 0)
    if not len(pictures):
        return shapes
    pictures -= pictures.mean(axis=0)
    means = np.zeros((len(characters), pictures.shape[1]))
    np.add.at(means, owners, pictures)
    means[shapes.known] /= count[shapes.known, None]
    rest = pictures - means[owners]
    within = rest.T @ rest / len(rest)
    within += np.eye(len(within)) * (_RIDGE * np.trace(within) / len(within) + 1e-9)
    known = means[shapes.known]
    between = known.T @ known / len(known)
    whitening = np.linalg.inv(np.linalg.cholesky(within))
    _, directions = np.linalg.eigh(whitening @ between @ whitening.T)
    found = known @ (whitening.T @ directions[:, ::-1][:, :dimensions])
    shapes.points[shapes.known, : found.shape[1]] = found
    return shapes


def _chosen(characters: Sequence[str], faces: Sequence[Face]) -> list[Face]:
    chosen: dict[str, Face] = {}
    for face in faces:
        if face.family in chosen or len(chosen) == _FAMILIES:
            continue
        if sum(face.covers(character) for character in characters) >= _COVERED * len(characters):
            chosen[face.family] = face
    return list(chosen.values())


def _draw(characters: Sequence[str], faces: Sequence[Face]) -> tuple[Image, NDArray[np.int64]]:
    """Pictures (N, pixels) float32 and the index of the character in each."""
    rng = np.random.default_rng(0)
    pictures: list[Image] = []
    owners: list[int] = []
    for face in faces:
        sized = SizedFace(face, _EM)
        for index, character in enumerate(characters):
            if face.covers(character) and (glyph := sized.glyph(character)).mask is not None:
                pictures.append(_picture(glyph, rng.uniform(-0.5, 0.5, 2)))
                owners.append(index)
    stacked = np.stack(pictures) if pictures else np.zeros((0, _SIDE * _SIDE), np.float32)
    return stacked, np.array(owners, np.int64)


def _picture(glyph: Glyph, shift: NDArray[np.float64]) -> Image:
    """A glyph as a column of text shows it: centred by its advance, on a common baseline."""
    assert glyph.mask is not None
    side = _EM + 2 * _MARGIN
    canvas = np.zeros((side, side), np.float32)
    height, width = glyph.mask.shape
    left = round((side - glyph.advance) / 2) + glyph.left
    top = _MARGIN + round(0.86 * _EM) + glyph.top
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(side, left + width), min(side, top + height)
    if x0 < x1 and y0 < y1:
        part = glyph.mask[y0 - top : y1 - top, x0 - left : x1 - left]
        canvas[y0:y1, x0:x1] = part / np.float32(255)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 1.2).astype(np.float32)
    scale = _SIDE / side
    move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(canvas, move, (_SIDE, _SIDE)).astype(np.float32).ravel()
