"""The kinds of objects that a picture may be given as, each made a path, bytes or an RGB array."""

import os
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ImageError
from crnn_runtime.picture.load import MAX_FILE_BYTES, PlainSource, check_size
from crnn_runtime.picture.rotate import upright

Channels = Literal["rgb", "bgr"]
"""Order of the colours in arrays: ``bgr`` is that of ``cv2.imread``."""


@runtime_checkable
class ReadableFile(Protocol):
    """A file opened in binary mode, `io.BytesIO`, the answer to a web request."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        ...


@runtime_checkable
class PillowImage(Protocol):
    """An image of Pillow's, which need not be installed."""

    mode: str
    size: tuple[int, int]

    def convert(self, mode: str) -> "PillowImage":
        """The same in other colours."""
        ...

    def getexif(self) -> Any:  # noqa: ANN401 (Pillow's)
        """Tag → value."""
        ...


ImageSource = PlainSource | os.PathLike[str] | ReadableFile | PillowImage
"""All that a picture may be given as; arrays may also be in the order of `Channels`."""

_AS_RGBA = ("P", "PA", "LA", "RGBA")
_16_BIT = "I;16"
_ORIENTATION = 0x0112  # the EXIF tag


def plain(source: ImageSource, channels: Channels = "rgb") -> PlainSource:
    """A picture → the same as a path, bytes or RGB array; what fails becomes its error.

    A file is read from where it stands to its end. Any other object is given back as it is.

    Args:
        source: the picture.
        channels: order of the colours, if it is an array.
    """
    try:
        if isinstance(source, np.ndarray) and channels == "bgr":
            return _rgb(source)
        if isinstance(source, ReadableFile):
            return _content(source)
        if isinstance(source, PillowImage):
            return _array(source)
        return Path(source) if isinstance(source, os.PathLike) else source
    except ImageError as error:
        return error
    except Exception as error:  # a closed file, a truncated picture, a broken connection
        reason = str(error).partition("\n")[0] or type(error).__name__
        return ImageError(f"the image cannot be read: {reason}")


def _rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BGR or BGRA → RGB or RGBA; what has no colours, or is no picture, as it is."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        return image
    code = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return cv2.cvtColor(image, code)  # type: ignore[return-value]


def _content(file: ReadableFile) -> bytes:
    data = file.read(MAX_FILE_BYTES + 1)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ImageError("cannot read a file that is opened as text: open it in mode 'rb'")
    if not data:
        raise ImageError("the file has nothing left to read: is it empty, or read already (seek)?")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"cannot read the file: it has more than {MAX_FILE_BYTES // 10**6} MB")
    return bytes(data)


def _array(image: PillowImage) -> NDArray[np.uint8]:
    """(H, W), (H, W, 3) or (H, W, 4), turned upright by its EXIF orientation."""
    width, height = image.size
    check_size(height, width)  # before it is decoded
    orientation = image.getexif().get(_ORIENTATION, 1)
    if image.mode.startswith(_16_BIT):
        pixels = np.right_shift(np.asarray(image), 8).astype(np.uint8)
    elif image.mode in ("I", "F"):
        raise ImageError(f"image has mode {image.mode}: give one with 8 or 16 bits a channel")
    else:
        wanted = "RGBA" if image.mode in _AS_RGBA else "L" if image.mode in ("1", "L") else "RGB"
        pixels = np.asarray(image if image.mode == wanted else image.convert(wanted))
    return upright(pixels, orientation)
