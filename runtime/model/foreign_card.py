"""Model cards of readers that this project did not train.

`read_card_file` takes what a person wrote, `ppocr_fields` what PP-OCR's exporters
leave in a file; `complete` adds what the graph itself tells.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import CARD_FORMAT, ModelCard

PPOCR_KEY = "character"
"""Key of the alphabet among the ``metadata_props`` of PP-OCR's recognition models."""
_PPOCR_HEIGHT = 48  # from PP-OCRv3 on
_PPOCR_MIN_WIDTH = 320
_NARROW, _WIDE = 64, 192  # pixels: lines that the time stride is found with

Fields = dict[str, Any]
"""Fields of a card as JSON has them; what is missing may follow from the graph."""


def read_card_file(path: str | Path) -> Fields:
    """The fields of a JSON card, the file of its alphabet read.

    ``alphabet_file``, relative to the card, may stand in place of ``alphabet``.

    Raises:
        ModelError: the file cannot be read, is not JSON or names no alphabet.
    """
    path = Path(path)
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ModelError(f"cannot read model card {path}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"model card {path} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ModelError(f"model card {path} is not a JSON object")
    if ("alphabet" in fields) == ("alphabet_file" in fields):
        raise ModelError(f"model card {path}: give either alphabet or alphabet_file")
    if "alphabet_file" in fields:
        name = fields.pop("alphabet_file")
        if not isinstance(name, str):
            raise ModelError(f"model card {path}: alphabet_file must be a file's name")
        try:
            fields["alphabet"] = list(Alphabet.from_file(path.parent / name))
        except CrnnError as error:
            raise ModelError(f"model card {path}: {error}") from error
    return fields


def ppocr_fields(metadata: Mapping[str, str], height: object, classes: object) -> Fields:
    """What PP-OCR's recognition models share, around the alphabet that they carry.

    Preprocessing and classes are those of the project's own reader: the blank is
    class 0, and a space that its dictionaries leave out is the last class.

    Args:
        metadata: of an ONNX file, with the key `PPOCR_KEY`.
        height: of the graph's input in pixels; not a number if it is dynamic.
        classes: of the graph's output; not a number if it is dynamic.

    Raises:
        ModelError: the alphabet does not make the graph's classes.
    """
    text = metadata[PPOCR_KEY]
    # Some dictionaries hold characters that splitlines() takes for line ends.
    entries = text.removesuffix("\n").replace("\r\n", "\n").split("\n")
    if not isinstance(classes, int) or classes == len(entries) + 2:
        entries.append(" ")
    elif classes != len(entries) + 1:
        raise ModelError(
            f"the file's metadata hold {len(entries)} characters, its graph has {classes} classes: "
            "with the blank and perhaps a space there should be one or two more"
        )
    return {
        "arch": "ppocr",
        "alphabet": entries,
        "height": height if isinstance(height, int) else _PPOCR_HEIGHT,
        "min_width": _PPOCR_MIN_WIDTH,
        "shrink": "linear",
        "color": "bgr",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "graph": {"gives": "probs"},
    }


def complete(fields: Fields, steps: Callable[[ModelCard, int], int]) -> ModelCard:
    """Fields → card. The time stride, if nobody gave it, is found by running the graph.

    Args:
        fields: see `read_card_file`.
        steps: a card and a width in pixels → time steps that the graph gives.

    Raises:
        ModelError: a field is missing, unknown or wrong.
    """
    fields = {"arch": "foreign", **fields}
    fields.setdefault("format", CARD_FORMAT)
    fields["graph"] = fields.get("graph") or {}
    known = "time_stride" in fields
    fields.setdefault("time_stride", 1)
    try:
        fields.setdefault("num_classes", len(fields["alphabet"]) + 1)
    except TypeError as error:
        raise ModelError("model card: alphabet must be a string or a list") from error
    card = ModelCard.from_json(json.dumps(fields))
    return card if known else card.replace(time_stride=_time_stride(card, steps))


def _time_stride(card: ModelCard, steps: Callable[[ModelCard, int], int]) -> int:
    fixed = card.width or (card.max_width if card.min_width == card.max_width else None)
    if fixed is not None:
        return max(1, round(fixed / steps(card, fixed)))
    narrow, wide = _NARROW, _WIDE
    more = steps(card, wide) - steps(card, narrow)
    if more <= 0 or (wide - narrow) % more:
        raise ModelError(
            f"the graph gives {more} time steps more for lines {wide} than {narrow} pixels wide: "
            "state time_stride, in pixels, in the model card"
        )
    return (wide - narrow) // more
