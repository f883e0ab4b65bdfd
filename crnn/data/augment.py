"""Random changes of real pictures that leave the text legible."""

import random

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn.synth.picture.degrade import degrade
from crnn.synth.picture.look import Camera, Chance

# Milder than most presets: a photograph has its own blur and noise already.
_CAMERA = Camera(
    blur=Chance(0.3, low=0.3, high=1.0),
    motion=Chance(0.05, low=1.0, high=3.0),
    lowres=Chance(0.15, low=1.1, high=1.6),
    noise=Chance(0.4, low=1, high=10),
    jpeg=Chance(0.4, low=10, high=60),
)


class Augment:
    """Warps, changes the light, and degrades as synthesis does.

    Args:
        share: of the pictures that are changed; the others stay as they are.
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(
        self, image: NDArray[np.uint8], generator: np.random.Generator
    ) -> NDArray[np.uint8]:
        """(H, W) or (H, W, 3) → the same kind, perhaps a little wider or narrower."""
        rng = random.Random(int(generator.integers(1 << 63)))
        if rng.random() >= self.share:
            return image
        warped = _relight(_warp(image, rng), rng)
        pixels = warped if warped.ndim == 3 else warped[:, :, None]
        changed = degrade(pixels, _CAMERA, rng)
        return changed if image.ndim == 3 else np.ascontiguousarray(changed[:, :, 0])


def _warp(image: NDArray[np.uint8], rng: random.Random) -> NDArray[np.uint8]:
    """Move each corner a little, and stretch; what comes into view repeats the border."""
    height, width = image.shape[:2]
    new_width = max(1, round(width * rng.uniform(0.88, 1.14)))
    lean = rng.uniform(-0.12, 0.12) * height
    slope = rng.uniform(-1, 1) * min(0.06 * height, 0.03 * width)
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    target = source * np.array([new_width / width, 1], np.float32)
    target += np.array([[lean, -slope], [lean, slope], [-lean, slope], [-lean, -slope]], np.float32)
    target += np.array(
        [[rng.gauss(0, 0.03) * height, rng.gauss(0, 0.03) * height] for _ in range(4)], np.float32
    )
    matrix = cv2.getPerspectiveTransform(source, target)
    warped = cv2.warpPerspective(
        image, matrix, (new_width, height), borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)


def _relight(image: NDArray[np.uint8], rng: random.Random) -> NDArray[np.float32]:
    """Contrast, brightness and gamma."""
    light = (image.astype(np.float32) / 255) ** np.float32(rng.uniform(0.7, 1.4))
    contrast, brightness = rng.uniform(0.6, 1.2), rng.uniform(-0.15, 0.15)
    light = (light - 0.5) * np.float32(contrast) + np.float32(0.5 + brightness)
    return np.asarray(np.clip(light, 0, 1) * 255, np.float32)
