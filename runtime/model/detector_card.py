"""Everything but the weights that a text detector needs: preprocessing, and how its map is cut."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Self, get_args

from crnn_runtime.errors import ModelError
from crnn_runtime.model.card import ColorOrder

DETECTOR_KEY = "crnn.detector"
"""Key of the card among an ONNX file's ``metadata_props``, and of a sidecar."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorCard:
    """Describes a DBNet text detector, independently of where it runs.

    The defaults are those of PP-OCRv6's detectors; those of v4 and v5 want the same
    picture and are cut at nearly the same values.

    Attributes:
        color: order of the channels.
        mean: per channel, in that order, of pixels in 0..1.
        std: per channel, of pixels in 0..1.
        multiple: the network takes heights and widths that are multiples of it.
        threshold: probability from which a pixel belongs to text.
        box_threshold: mean probability from which a region is a line.
        unclip: how far a region's rectangle grows, see `crnn_runtime.page.boxes`.
        precision: of the weights.
        hashes: SHA-256 of the artefacts that this one was made from.
        versions: of the software that made this artefact.
    """

    color: ColorOrder = "bgr"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    multiple: int = 32
    threshold: float = 0.2
    box_threshold: float = 0.4
    unclip: float = 1.4
    precision: str = "fp32"
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.color not in get_args(ColorOrder) or self.color == "gray":
            raise ModelError(f"detector card: color {self.color!r} is not one of rgb, bgr")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != 3 or not all(isinstance(value, int | float) for value in values):
                raise ModelError(f"detector card: {name} needs 3 numbers, got {values}")
        if min(self.std) <= 0:
            raise ModelError(f"detector card: std must be positive, got {self.std}")
        if type(self.multiple) is not int or self.multiple < 1:
            raise ModelError(f"detector card: multiple must be positive, got {self.multiple!r}")
        for name in ("threshold", "box_threshold"):
            if not _within(getattr(self, name), 0, 1):
                raise ModelError(
                    f"detector card: {name} {getattr(self, name)!r} is not between 0 and 1"
                )
        if not _within(self.unclip, -0.5, 10):
            raise ModelError(f"detector card: unclip {self.unclip!r} is not between -0.5 and 10")

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back to an equal card."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a card.

        Raises:
            ModelError: not JSON, or a field is unknown or wrong.
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ModelError(f"detector card is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise ModelError("detector card is not a JSON object")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(content.keys() - known):
            raise ModelError(f"detector card has unknown fields: {', '.join(map(repr, unknown))}")
        try:
            for name in {"mean", "std"} & content.keys():
                content[name] = tuple(float(value) for value in content[name])
            return cls(**content)
        except (TypeError, ValueError) as error:
            raise ModelError(f"detector card: {error}") from error


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
