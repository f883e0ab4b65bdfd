"""Changes a picture as cameras, scanners and file formats do."""

import random
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from crnn.synth.picture.look import Camera
from crnn.synth.picture.paint import Pixels

Image = npt.NDArray[np.uint8]

_NOISE_SHAPE = (128, 9000)
_AS_CODED = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}


@lru_cache(maxsize=1)
def _noise_bank() -> npt.NDArray[np.int8]:
    """Normal noise of standard deviation 32, cut at four of them."""
    normal = np.random.default_rng(1701).standard_normal(_NOISE_SHAPE, np.float32)
    return np.clip(normal * 32, -127, 127).astype(np.int8)


def noise(rng: random.Random, shape: tuple[int, int, int]) -> Pixels:
    """Standard normal noise, a random piece of a fixed bank: thrice as fast as drawing it."""
    height, width, channels = shape
    across = width * channels
    bank = _noise_bank()
    if height > bank.shape[0] or across > bank.shape[1]:
        bank = np.tile(bank, (-(-height // bank.shape[0]), -(-across // bank.shape[1])))
    row = rng.randint(0, bank.shape[0] - height)
    start = rng.randint(0, bank.shape[1] - across)
    piece = bank[row : row + height, start : start + across].reshape(shape)
    return piece.astype(np.float32) * np.float32(1 / 32)


def degrade(picture: Pixels, camera: Camera, rng: random.Random) -> Image:
    """Blur, shrink, add noise, compress, enlarge, binarise.

    Args:
        picture: (H, W, 1) or (H, W, 3), 0..255.
        camera: how much of what.
        rng: of everything.

    Returns:
        (H, W, 3) RGB.
    """
    height, width = picture.shape[:2]
    image = _blur(np.clip(picture, 0, 255).astype(np.uint8), camera, rng)
    factor = camera.lowres.draw(rng)
    if factor > 1:
        small = max(2, round(width / factor)), max(6, round(height / factor))
        image = _resize(image, small, cv2.INTER_AREA)
    if sigma := camera.noise.draw(rng):
        rows, columns, channels = image.shape
        # Half of the sensors have noise of each colour, half of brightness only.
        depth = channels if rng.random() < 0.5 else 1
        noisy = image + noise(rng, (rows, columns, depth)) * np.float32(sigma)
        image = np.clip(noisy, 0, 255).astype(np.uint8)
    if salt := camera.salt.draw(rng):
        _salt(image, salt, rng)
    if lost := camera.jpeg.draw(rng):
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, round(100 - lost)])
        image = _channels(np.asarray(cv2.imdecode(coded, _AS_CODED[image.shape[2]])))
    if factor > 1:
        way = rng.choice((cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST))
        image = _resize(image, (width, height), way)
    if roughness := camera.binarise.draw(rng):
        image = _binarise(image, roughness, rng)
    return image if image.shape[2] == 3 else np.asarray(cv2.merge([image] * 3), np.uint8)


def _channels(image: npt.ArrayLike) -> Image:
    """OpenCV drops a lone channel: put it back."""
    array = np.asarray(image, np.uint8)
    return array if array.ndim == 3 else array[:, :, None]


def _resize(image: Image, size: tuple[int, int], way: int) -> Image:
    return _channels(cv2.resize(image, size, interpolation=way))


def _blur(image: Image, camera: Camera, rng: random.Random) -> Image:
    if sigma := camera.blur.draw(rng):
        image = _channels(cv2.GaussianBlur(image, (0, 0), sigma))
    if length := camera.motion.draw(rng):
        size = max(2, round(length))
        kernel = np.zeros((size, size), np.float32)
        if rng.random() < 0.7:
            kernel[size // 2] = 1
        elif rng.random() < 0.5:
            kernel[:, size // 2] = 1
        else:
            np.fill_diagonal(kernel, 1)
        image = _channels(cv2.filter2D(image, -1, kernel / kernel.sum()))
    return image


def _salt(image: Image, share: float, rng: random.Random) -> None:
    """Black and white specks."""
    height, width = image.shape[:2]
    for _ in range(min(2000, max(1, round(share * height * width)))):
        place = int(rng.random() * height), int(rng.random() * width)
        image[place] = 255 if rng.random() < 0.5 else 0


def _binarise(image: Image, roughness: float, rng: random.Random) -> Image:
    """Black and white only, as old scans are; the threshold lies between ink and paper."""
    grey = np.asarray(image.mean(2), np.float32)
    low, high = np.percentile(grey, (2, 70))
    roughness *= min(1.0, float(high - low) / 150)
    threshold = low + (high - low) * rng.uniform(0.35, 0.72)
    rough = noise(rng, (*grey.shape, 1))[:, :, 0]
    if rng.random() < 0.6:
        rough = np.asarray(cv2.GaussianBlur(rough, (0, 0), 0.8), np.float32) * np.float32(2.2)
    black_white = np.asarray(grey + rough * np.float32(roughness) > threshold, np.uint8) * 255
    return np.asarray(black_white, np.uint8)[:, :, None]
