"""Pictures turned and mirrored: as EXIF tells, or by a number of degrees."""

import cv2
import numpy as np
from numpy.typing import NDArray

_QUARTERS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_UPRIGHT = {2: (0, 1), 3: (180, None), 4: (0, 0), 5: (90, 1), 6: (90, None), 7: (270, 1),
            8: (270, None)}  # fmt: skip
"""EXIF orientation → how to turn the stored picture, and then which axis to mirror."""


def rotated(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """An image (H, W) or (H, W, C), turned clockwise by 0, 90, 180 or 270 degrees."""
    return cv2.rotate(image, _QUARTERS[degrees]) if degrees else image  # type: ignore[return-value]


def upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """An image as its EXIF orientation says that it is to be seen; others than 2 to 8 say 1."""
    degrees, mirrored = _UPRIGHT.get(orientation, (0, None))
    image = rotated(image, degrees)
    return image if mirrored is None else cv2.flip(image, mirrored)  # type: ignore[return-value]
