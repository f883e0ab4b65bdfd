"""Any picture a user may have → an 8-bit array in the colours a model wants."""

import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ImageError
from crnn_runtime.model.card import ColorOrder, ModelCard
from crnn_runtime.picture.alpha import is_premultiplied, on_ground, with_alpha
from crnn_runtime.picture.header import (
    image_orientation,
    image_size,
    is_jpeg,
    is_png,
    jpeg_is_complete,
    may_hide_alpha,
    png_is_complete,
)
from crnn_runtime.picture.rotate import upright

MAX_PIXELS = 64_000_000
"""Larger pictures are refused before they are decoded: a line of text is small."""
MAX_FILE_BYTES = 256_000_000
"""Larger files are refused unread: `MAX_PIXELS` in 8-bit colour take less, even uncompressed."""
MIN_HEIGHT = 1
"""Lower pictures are refused. Very small ones are enlarged and read, well or badly."""

PlainSource = str | Path | bytes | bytearray | memoryview | NDArray[np.uint8] | ImageError
"""A file's path, its bytes, or an array (H, W), (H, W, 1), RGB (H, W, 3) or RGBA (H, W, 4).

An `ImageError` stands for an image that could not be fetched: loading it raises it, so
it keeps its place among others.
"""
listener: Callable[[PlainSource], AbstractContextManager[object]] = nullcontext
"""Entered while an image is decoded: `DecoderMessages` takes this place to listen."""
_REDUCED = {
    1: (cv2.IMREAD_COLOR, cv2.IMREAD_GRAYSCALE),
    2: (cv2.IMREAD_REDUCED_COLOR_2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
    4: (cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    8: (cv2.IMREAD_REDUCED_COLOR_8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
}
"""Reduction → how to decode in colour and in grey."""
"""A JPEG can be decoded to these fractions of its size at less than the full cost."""
_SPARE = 2  # how many times as high as needed a JPEG is decoded at least
_UNCUT = 0.95  # of the widest line: certain to be read in one piece, edges lost or not


def load_image(source: PlainSource, color: ColorOrder = "rgb") -> NDArray[np.uint8]:
    """An image as (H, W, 3) in the asked order of channels, or (H, W) for ``gray``.

    Transparent pixels get a ground on which the opaque ink is seen: white, or black behind
    light ink, see `crnn_runtime.picture.alpha.on_ground`. 16-bit pixels become 8-bit. If a
    file has several pages or frames, the first is read. A picture is turned upright
    by its EXIF orientation (JPEG, PNG, WebP, TIFF). Python reads the bytes, so any path
    works that Python can open. JPEG has no checksums: a file that is damaged in the
    middle is decoded as far as possible, and libjpeg says so on standard error.

    Raises:
        ImageError: missing, empty, truncated, not an image, too large or too low.
    """
    return _load(source, color, _whole)[0]


def load_line(source: PlainSource, card: ModelCard) -> tuple[NDArray[np.uint8], int]:
    """An image in a model's colours, see `load_image`, but a JPEG may come smaller.

    A JPEG that is at least four times as high as the model's lines is decoded at a
    half, a quarter or an eighth of its size, at least twice as high as they are: the
    decoder averages, which `resize_line` would do after it. What `resize_line` makes
    of it differs by less than 2 of 255 grey levels on average, most at sharp edges.
    Lines that must be cut are decoded whole.

    Returns:
        the image, and how many source pixels one of its pixels stands for along each
        axis. Pixels at the far edges that do not fill one are left out.

    Raises:
        ImageError: see `load_image`.
    """
    return _load(source, card.color, partial(_line_reduction, card))


def load_page(source: PlainSource) -> tuple[NDArray[np.uint8], int]:
    """An image in RGB, see `load_image`; a JPEG beyond `MAX_PIXELS` comes smaller.

    Returns:
        the image, and how many source pixels one of its pixels stands for along each axis:
        1, or of such a JPEG 2, 4 or 8.

    Raises:
        ImageError: see `load_image`.
    """
    return _load(source, "rgb", _page_reduction)


def _load(
    source: PlainSource, color: ColorOrder, reduction_of: Callable[[int, int], int]
) -> tuple[NDArray[np.uint8], int]:
    if isinstance(source, np.ndarray):
        image = _checked_array(source)
        check_size(*image.shape[:2])
        return _to_color(image, "rgb", color), 1
    data = _bytes_of(source)
    stored = image_size(data)
    reduction, premultiplied = 1, False
    if is_jpeg(data):
        if not jpeg_is_complete(data):
            raise ImageError("image is truncated: the end of the JPEG data is missing")
        reduction = reduction_of(*stored)
        # The decoder turns JPEGs by their EXIF orientation; PNG and WebP are turned below.
        image = _decode(data, _REDUCED[reduction][color == "gray"], source)
        if reduction > 1:
            # The decoder rounds up, and fills the last pixel with what is not in the picture.
            turned = (image.shape[0] < image.shape[1]) != (stored[0] < stored[1])
            height, width = stored[::-1] if turned else stored
            image = image[: height // reduction, : width // reduction]
    else:
        check_size(*stored)
        # Also keeps libpng from writing about it to the terminal.
        if is_png(data) and not png_is_complete(data):
            raise ImageError("image is damaged or truncated: a part of the PNG data is missing")
        image = _decode(data, cv2.IMREAD_UNCHANGED, source)  # keeps transparency
        if may_hide_alpha(data):
            image = with_alpha(data, image)
        if image.ndim == 3 and image.shape[2] == 4:
            premultiplied = is_premultiplied(data, image)
        if image.dtype != np.uint8:
            image = _to_uint8(image)
        if (orientation := image_orientation(data)) != 1:
            image = upright(image, orientation)
    check_size(*image.shape[:2])
    return _to_color(image, "bgr", color, premultiplied=premultiplied), reduction


def _bytes_of(source: PlainSource | None) -> bytes:
    if isinstance(source, str | Path):
        data = read_bytes(Path(source))
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, ImageError):
        raise source
    elif source is None:
        raise ImageError("there is no image, but None: cv2.imread gives it for an unreadable file")
    else:
        raise ImageError(
            f"cannot read a {type(source).__name__}: give a path, bytes, an open file, an array "
            "or an image of Pillow's"
        )
    if not data:
        raise ImageError("image is empty (0 bytes)")
    return data


def _whole(height: int, width: int) -> int:
    """Checks a JPEG's size and has it decoded whole: returns the divisor 1."""
    check_size(height, width)
    return 1


def _page_reduction(height: int, width: int) -> int:
    """Returns the divisor of a JPEG's size that leaves at most `MAX_PIXELS`."""
    fitting = [step for step in _REDUCED if height * width <= MAX_PIXELS * step * step]
    if not fitting:
        check_size(height, width)
    return min(fitting)


def _line_reduction(card: ModelCard, height: int, width: int) -> int:
    """Returns the divisor of a JPEG's size for a line; height and width are as stored, before any
    turn.
    """
    check_size(height, width)
    low, long = sorted((height, width))  # a quarter turn may still follow
    room = _UNCUT * (card.max_width - card.time_stride)
    if card.shrink != "area" or (card.width is None and long * card.height > room * low):
        return 1
    return max(step for step in _REDUCED if step == 1 or low >= _SPARE * step * card.height)


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        ImageError: it cannot be read, is not a file (a device or a pipe, which may
            have no end), or has more than `MAX_FILE_BYTES`.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise ImageError("cannot read the file: it is a device, pipe or socket")
        if status.st_size > MAX_FILE_BYTES:
            raise ImageError(
                f"cannot read the file: it has {status.st_size / 1e6:.0f} MB, more than "
                f"{MAX_FILE_BYTES // 10**6}"
            )
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read the file: {error.strerror}") from error
    except ImageError:
        raise
    except ValueError as error:  # a NUL in the name
        raise ImageError(f"cannot read the file: {error}") from error


def check_size(height: int, width: int) -> None:
    """See that a picture is neither too large nor too low.

    Raises:
        ImageError: it is.
    """
    if height * width > MAX_PIXELS:
        raise ImageError(
            f"image has {width} × {height} pixels, more than {MAX_PIXELS // 10**6} million: "
            "make it smaller, or cut out the text"
        )
    if height < MIN_HEIGHT or width < 1:
        raise ImageError(
            f"image has {width} × {height} pixels, a line is {MIN_HEIGHT} high at least"
        )


def _checked_array(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8:
        raise ImageError(f"image array has dtype {image.dtype}: give uint8, 0 to 255")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim != 2 and (image.ndim != 3 or image.shape[2] not in (3, 4)):
        raise ImageError(f"image array has shape {image.shape}: give H×W, H×W×3 or H×W×4")
    return image


def _decode(data: bytes, flags: int, source: PlainSource) -> NDArray[np.uint8]:
    try:
        with listener(source):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError("image cannot be decoded: it is damaged or truncated") from error
    if image is None:
        raise ImageError("image cannot be decoded: it is damaged or truncated")
    return image  # type: ignore[return-value]


def _to_uint8(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    if image.dtype == np.uint16:
        shifted: NDArray[np.uint8] = np.right_shift(image, 8).astype(np.uint8)
        return shifted
    raise ImageError(f"image has {image.dtype} pixels: save it with 8 or 16 bits a channel")


def _to_color(
    image: NDArray[np.uint8],
    stored: ColorOrder,
    wanted: ColorOrder,
    *,
    premultiplied: bool = False,
) -> NDArray[np.uint8]:
    if image.ndim == 3 and image.shape[2] == 4:
        image = on_ground(image, premultiplied=premultiplied)
    if image.ndim == 2:
        code = None if wanted == "gray" else cv2.COLOR_GRAY2RGB
    elif wanted == "gray":
        code = cv2.COLOR_RGB2GRAY if stored == "rgb" else cv2.COLOR_BGR2GRAY
    else:
        code = None if wanted == stored else cv2.COLOR_BGR2RGB
    return image if code is None else cv2.cvtColor(image, code)  # type: ignore[return-value]
