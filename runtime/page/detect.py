"""`Detector`: a picture of a page → rectangles around its lines."""

import dataclasses
import threading
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.detector_card import DetectorCard
from crnn_runtime.page.boxes import Box, find_boxes
from crnn_runtime.page.join import join_words
from crnn_runtime.page.network import Network, Shape, open_network
from crnn_runtime.readers.detectors import find_detector

SIDE = 1280
"""Longer side in pixels that a page is scaled down to before lines are looked for."""
MAX_LINES = 3000
"""Lines of a page at most; the surest are kept."""
MARGIN = 16
"""Pixels around the picture: text that touches its edges is found, too, and a line that
fills it is found as one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detection:
    """Options for finding lines.

    Attributes:
        side: longer side in pixels that a larger page is scaled down to; a smaller one is
            taken as it is. Half the side takes a quarter of the time and misses letters that
            are then lower than some 6 pixels.
        threshold: see `DetectorCard.threshold`; None is the detector's own.
        box_threshold: see `DetectorCard.box_threshold`; None is the detector's own.
        unclip: see `DetectorCard.unclip`; None is the detector's own.
        join: words on one baseline are joined to a line if the gap between them is at most
            so many of their heights; 0 leaves them apart.

    Raises:
        CrnnError: a value is out of its range.
    """

    side: int = SIDE
    threshold: float | None = None
    box_threshold: float | None = None
    unclip: float | None = None
    join: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.side, int) or not 32 <= self.side <= 8192:
            raise CrnnError(f"side is {self.side!r}: it must be a whole number from 32 to 8192")
        if not 0 <= self.join <= 20:
            raise CrnnError(f"join is {self.join!r}: it must be from 0 to 20 heights of a line")

    def of(self, card: DetectorCard) -> DetectorCard:
        """The detector's card with what is given here.

        Raises:
            CrnnError: a value is out of its range.
        """
        given = {
            name: value
            for name in ("threshold", "box_threshold", "unclip")
            if (value := getattr(self, name)) is not None
        }
        try:
            return card.replace(**given)
        except ModelError as error:
            raise CrnnError(str(error).replace("detector card: ", "")) from error


class Detector:
    """Finds lines of text on pages with a DBNet, such as PP-OCR's v4, v5 and v6.

    `detect` may be called from several threads at once.

    Args:
        model: an ONNX file, a TensorRT engine that ``crnn-export`` wrote, or the name of a
            known detector; None is the first known one that is installed, see
            `crnn_runtime.readers.detectors.DETECTORS`.
        device: ``cpu`` or ``cuda``; None is ``cpu`` for ONNX files and ``cuda`` for engines.
        threads: CPU threads, default as many as the process may use.
        options: how lines are looked for.

    Raises:
        ModelError: the model cannot be used.
        MissingDependencyError: its library or the device is missing.
        CrnnError: an option is out of its range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        device: str | None = None,
        threads: int | None = None,
        options: Detection | None = None,
    ) -> None:
        self.options = options or Detection()
        self.path = find_detector(model)
        self._network: Network = open_network(self.path, device, threads)
        try:
            self.card = self.options.of(self._network.card)
        except BaseException:
            self._network.close()
            raise
        self._in_model = threading.Lock()

    def detect(self, image: NDArray[np.uint8]) -> list[Box]:
        """The lines of a page, in no particular order.

        Args:
            image: (H, W, 3) RGB.

        Returns:
            boxes with corners in pixels of the image; they may reach beyond it.

        Raises:
            ModelError: what the network gave is not numbers, or the detector was closed.
        """
        canvas, scale = self._prepare(image)
        with self._in_model:  # two at a time would only take twice the memory
            probabilities = self._network.infer(canvas)[0]
        if not np.isfinite(probabilities).all():
            raise ModelError(
                f"{self.path}: the network gave values that are not numbers: its file is damaged "
                "or its precision too low"
            )
        high, wide = (round(side * scale) for side in image.shape[:2])
        inside = probabilities[MARGIN : MARGIN + high, MARGIN : MARGIN + wide]
        found = find_boxes(
            np.ascontiguousarray(inside),
            threshold=self.card.threshold,
            box_threshold=self.card.box_threshold,
            unclip=self.card.unclip,
            most=MAX_LINES,
        )
        ratio = np.array([image.shape[1] / wide, image.shape[0] / high], np.float32)
        boxes = [Box(box.polygon * ratio, box.score) for box in found]
        return join_words(boxes, self.options.join) if self.options.join else boxes

    def close(self) -> None:
        """Release the network; nothing can be found from then on."""
        self._network.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """A page → the network's input (1, 3, H, W), and pixels of it per pixel of the page."""
        height, width = image.shape[:2]
        room = self.options.side, self.options.side
        if self._network.fixed is not None:
            room = (self._network.fixed[0] - 2 * MARGIN, self._network.fixed[1] - 2 * MARGIN)
        scale = min(1.0, room[0] / height, room[1] / width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if size != (width, height):
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        shape = self._network.fixed or _canvas(size[1], size[0], self.card.multiple)
        return _normalised(image, shape, self.card), scale


def _canvas(height: int, width: int, multiple: int) -> Shape:
    """The least height and width that hold a picture and its margin."""
    high, wide = (-(-(side + 2 * MARGIN) // multiple) * multiple for side in (height, width))
    return high, wide


def _normalised(image: NDArray[np.uint8], shape: Shape, card: DetectorCard) -> NDArray[np.float32]:
    """(H, W, 3) RGB in a canvas of the mean colour, which is what convolutions pad with."""
    canvas = np.zeros((1, 3, *shape), np.float32)
    high, wide = image.shape[:2]
    order = (2, 1, 0) if card.color == "bgr" else (0, 1, 2)
    for place, channel in enumerate(order):
        target = canvas[0, place, MARGIN : MARGIN + high, MARGIN : MARGIN + wide]
        scale = np.float32(1 / (255 * card.std[place]))
        np.multiply(image[:, :, channel], scale, out=target)
        target -= np.float32(card.mean[place] / card.std[place])
    return canvas
