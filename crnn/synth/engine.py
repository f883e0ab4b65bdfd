"""`Synthesizer`: line ``i`` of (preset, seed) as a pure function of ``i``."""

import dataclasses
import hashlib
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crnn.synth.fonts import FontSet, Split, find_fonts, read_faces
from crnn.synth.glyphs import GlyphCache
from crnn.synth.layout import Boxes, Layout, lay_out
from crnn.synth.presets import PRESETS, Preset
from crnn_runtime.errors import CrnnError

Image = npt.NDArray[np.uint8]

_SIZE = 40  # pixels per em of the cached glyphs


@dataclasses.dataclass(frozen=True)
class Sample:
    """One synthetic line.

    Attributes:
        image: (H, W, 3) RGB.
        text: what it reads.
        boxes: (len(text), 4) float32 x0, y0, x1, y1 of each character in pixels.
    """

    image: Image
    text: str
    boxes: Boxes


class Synthesizer:
    """Draws synthetic lines; random access, so that streams shard and resume exactly.

    Args:
        preset: a key of `PRESETS`.
        seed: another seed gives other lines.
        fonts: see `crnn.synth.fonts.find_fonts`.
        split: which font families take part, see `FontSet`.
        overrides: fields of `Preset` to replace.

    Raises:
        CrnnError: an unknown preset or field, no usable font.
    """

    def __init__(
        self,
        preset: str = "digits",
        seed: int = 0,
        *,
        fonts: str | Path | Sequence[str | Path] | None = None,
        split: Split = "all",
        **overrides: Any,  # noqa: ANN401
    ) -> None:
        if preset not in PRESETS:
            raise CrnnError(f"no preset {preset!r}: choose from {', '.join(PRESETS)}")
        known = {field.name for field in dataclasses.fields(Preset)}
        if unknown := overrides.keys() - known:
            raise CrnnError(f"preset has no {sorted(unknown)[0]!r}: {', '.join(sorted(known))}")
        self.name, self.seed, self.split = preset, seed, split
        self.preset = dataclasses.replace(PRESETS[preset], **overrides)
        faces = [face for path in find_fonts(fonts or "packages") for face in read_faces(path)]
        self.fonts = FontSet(faces, split=split)
        self._cache = GlyphCache()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cache = GlyphCache()

    def line(self, index: int) -> Sample:
        """Draw line ``index``."""
        key = f"{self.name}/{self.seed}/{self.split}/{index}".encode()
        rng = random.Random(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest()))
        for _ in range(16):
            text = self.preset.source(rng)
            face = self.fonts.choose(rng, text)
            if face is None:
                continue
            layout = lay_out(
                self._cache, face, _SIZE, text, rng, spacing=rng.uniform(*self.preset.spacing)
            )
            if layout is not None:
                return self._draw(layout, text, rng)
        raise CrnnError(f"no font has all of {text!r}: give more fonts (`make fonts`)")

    def _draw(self, layout: Layout, text: str, rng: random.Random) -> Sample:
        preset = self.preset
        alpha, boxes = _place(layout, preset, rng)
        height, width = alpha.shape
        dark, light = rng.randint(0, 110), rng.randint(150, 255)
        tint = np.float32([rng.gauss(0, 12) for _ in range(3)])
        ink, paper = (light, dark) if rng.random() < 0.15 else (dark, light)
        noise = np.random.Generator(np.random.SFC64(rng.getrandbits(64)))
        blend = alpha.astype(np.float32)[:, :, None] / 255
        image = paper + tint + (ink - paper - tint) * blend
        sigma = rng.uniform(*preset.blur)
        if sigma > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), sigma)
        image = image + noise.standard_normal((height, width, 1), np.float32) * rng.uniform(
            *preset.noise
        )
        return Sample(np.clip(image, 0, 255).astype(np.uint8), text, boxes)


def _place(layout: Layout, preset: Preset, rng: random.Random) -> tuple[Image, Boxes]:
    """Scale, shear and rotate the line into the picture's frame."""
    rows, columns = layout.alpha.shape
    height = rng.randint(*preset.height)
    top, bottom, left, right = (rng.uniform(*preset.margin) * layout.size for _ in range(4))
    angle = math.radians(rng.uniform(-1, 1) * preset.degrees)
    # A long line may not leave the picture by being turned.
    angle = max(-0.3 * rows / columns, min(0.3 * rows / columns, angle))
    rise = abs(math.tan(angle)) * columns / 2
    scale = height / (rows + top + bottom + 2 * rise)
    stretch = rng.uniform(*preset.stretch)
    width = max(4, round((columns + left + right) * scale * stretch))
    matrix = np.float64([
        [scale * stretch, rng.uniform(-0.1, 0.1) * scale, left * scale * stretch],
        [math.tan(angle) * scale, scale, (top + rise - math.tan(angle) * columns / 2) * scale],
        [0, 0, 1],
    ])  # fmt: skip
    alpha = cv2.warpAffine(layout.alpha, matrix[:2], (width, height), flags=cv2.INTER_LINEAR)
    corners = layout.boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:2, :2].T + matrix[:2, 2]
    boxes = np.concatenate([moved.min(1), moved.max(1)], axis=1).astype(np.float32)
    return np.asarray(alpha, np.uint8), boxes
