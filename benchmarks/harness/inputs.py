"""Inputs of the measurements: drawn lines, models, peers' models."""

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from crnn_benchmarks.harness.models import Subject, model_file
from crnn_runtime.picture.files import iter_paths
from crnn_runtime.readers import reader_names, reader_path

_DRAWN_HEIGHT = 48
_WORDS = "Line 0123456789 of made-up text, "
SMALL = ("latin", "digits")
"""Shipped readers, the one that figures of a small model are taken of first."""
_PEERS = {
    "PP-OCRv4": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx"),
    "PP-OCRv6": ("rapidocr", "models/PP-OCRv6_rec_small.onnx"),
}
"""Name → the package whose wheel carries the file, and where in it."""


def architecture(arch: str) -> Path:
    """An ONNX file with 5,990 classes and random weights: good for times, not for texts."""
    return model_file(Subject(name=arch, arch=arch))


def small_reader() -> Path | None:
    """A reader that ships with the package, None if there is none."""
    names = reader_names()
    return next((reader_path(name) for name in (*SMALL, *names) if name in names), None)


def peer_model(name: str, folder: Path | None = None) -> Path | None:
    """A peer's recognition model: under ``folder``, or where its wheel is installed.

    The package is found, not imported: it need not even be able to run.
    """
    package, inside = _PEERS[name]
    if folder is not None:
        return next(iter(sorted(folder.rglob(Path(inside).name))), None)
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / inside
    return path if path.is_file() else None


def draw_line(width: int, height: int = 32, *, seed: int = 0) -> bytes:
    """A JPEG of black print on a light, slightly noisy ground; ``width`` in pixels."""
    generator = np.random.default_rng(seed)
    image = generator.normal(225, 2, (height, width, 3)).clip(0, 255).astype(np.uint8)
    scale = height / 40
    text = "".join(generator.choice(list("ABCDEFGHKLMNPRSTUXYZ23456789"), width // (height // 2)))
    place = (round(4 * scale), round(height * 0.75))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (30, 30, 40), 2, cv2.LINE_AA)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def mixed_widths(count: int, low: int = 32, high: int = 2000, *, seed: int = 0) -> list[int]:
    """Widths in pixels at height 32, evenly spread over the logarithm: short lines are common."""
    generator = np.random.default_rng(seed)
    drawn = np.exp(generator.uniform(math.log(low), math.log(high), count))
    return [int(width) for width in drawn]


def real_lines(folder: Path | None) -> Sequence[Path]:
    """The pictures of a folder, none if it is not there."""
    if folder is None or not folder.is_dir():
        return []
    return [Path(path) for path in iter_paths([str(folder)]) if Path(path).is_file()]


def write_pictures(folder: Path, width: int, count: int, *, height: int = 32) -> list[str]:
    """Write JPEGs of lines that are ``width`` wide once they are ``height`` high.

    They are half as large again as a network's input, so that scaling is work, as it is
    with crops of photographs.

    Returns:
        their paths.
    """
    generator = np.random.default_rng(width)
    shape = (_DRAWN_HEIGHT, width * _DRAWN_HEIGHT // height, 3)
    paths = []
    for number in range(count):
        ground = generator.normal(200, 12, shape).clip(0, 255).astype(np.uint8)
        text = f"{number} {_WORDS * (width // 200 + 1)}"
        cv2.putText(ground, text, (4, 34), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (30, 30, 30), 2)
        _, data = cv2.imencode(".jpg", ground, [cv2.IMWRITE_JPEG_QUALITY, 90])
        path = folder / f"{width}-{number}.jpg"
        path.write_bytes(data.tobytes())
        paths.append(str(path))
    return paths
