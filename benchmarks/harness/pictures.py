"""Photographs of nothing in particular, to time with: print on a rough ground, as JPEG."""

from pathlib import Path

import cv2
import numpy as np

_HEIGHT = 48
_WORDS = "Line 0123456789 of made-up text, "


def write_pictures(folder: Path, width: int, count: int, *, height: int = 32) -> list[str]:
    """Write JPEGs of lines that are ``width`` wide once they are ``height`` high.

    They are half as large again as a network's input, so that scaling is work, as it is
    with crops of photographs.

    Returns:
        their paths.
    """
    generator = np.random.default_rng(width)
    shape = (_HEIGHT, width * _HEIGHT // height, 3)
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
