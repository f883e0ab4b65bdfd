"""Model cards of readers that this project did not train.

`read_card_file` takes what a person wrote, `PPOCR_FIELDS` is what PP-OCR's recognisers
share; `complete` adds what the graph itself tells.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.alphabet import (
    Alphabet,
    AlphabetSource,
    fitting_alphabet,
    read_dictionary,
)
from crnn_runtime.model.card import CARD_FORMAT, ModelCard
from crnn_runtime.model.dictionary import Dictionary

PPOCR_KEY = "character"
"""Key of the alphabet among the ``metadata_props`` of PP-OCR's recognition models."""
PPOCR_HEIGHT = 48
"""Pixels, from PP-OCRv3 on, where the graph takes any."""
_NARROW, _WIDE = 64, 192  # pixels: lines that the time stride is found with

Fields = dict[str, Any]
"""Fields of a card as JSON has them; what is missing may follow from the graph."""

PPOCR_FIELDS: Mapping[str, Any] = {
    "arch": "ppocr",
    "min_width": 320,
    "shrink": "linear",
    "color": "bgr",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "graph": {"gives": "probs"},
}
"""Preprocessing and classes of PP-OCR's own reader; the blank is class 0."""


@dataclass(frozen=True)
class Description:
    """Everything that is known of a reader before its graph is run.

    Attributes:
        fields: of its card, without the alphabet.
        alphabet: or what it is read from.
    """

    fields: Fields
    alphabet: AlphabetSource


def read_card_file(path: str | Path) -> tuple[Fields, AlphabetSource | None]:
    """A JSON card's fields, and its alphabet apart from them; None if it has none.

    ``alphabet_file``, relative to the card, may stand in place of ``alphabet``.

    Raises:
        ModelError: the file cannot be read, is not JSON or names two alphabets.
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
    if "alphabet" in fields and "alphabet_file" in fields:
        raise ModelError(f"model card {path}: give either alphabet or alphabet_file")
    try:
        if "alphabet_file" in fields:
            name = fields.pop("alphabet_file")
            if not isinstance(name, str):
                raise ModelError("alphabet_file must be a file's name")
            return fields, read_dictionary(path.parent / name)
        return fields, _listed(fields.pop("alphabet")) if "alphabet" in fields else None
    except CrnnError as error:
        raise ModelError(f"model card {path}: {error}") from error


def _listed(entries: object) -> Alphabet:
    known = isinstance(entries, str) or (
        isinstance(entries, list) and all(isinstance(entry, str) for entry in entries)
    )
    if not known:
        raise ModelError("alphabet must be a string or a list of strings")
    assert isinstance(entries, str | list)
    return Alphabet(entries)


def ppocr_dictionary(metadata: Mapping[str, str]) -> Dictionary:
    """The alphabet that a PP-OCR recogniser carries; see `Dictionary.reading` for the space.

    Args:
        metadata: of an ONNX file, with the key `PPOCR_KEY`.

    Raises:
        CrnnError: there is no character in it.
    """
    return Dictionary.parse("in its metadata", metadata[PPOCR_KEY], is_given=False)


Sizes = Callable[[ModelCard, int], tuple[int, int]]
"""A card and a width in pixels → time steps and classes that its graph gives."""


def complete(description: Description, run: Sizes) -> ModelCard:
    """Completes a description to a card. The classes, and the time stride if nobody gave it, are
    found by running the graph.

    Args:
        description: of the reader.
        run: runs the graph; of the card's alphabet nothing is known yet.

    Raises:
        ModelError: a field is missing, unknown or wrong, or the alphabet makes other classes.
    """
    fields = {"arch": "foreign", "time_stride": 1, **description.fields}
    fields.setdefault("format", CARD_FORMAT)
    fields["graph"] = fields.get("graph") or {}
    stated = fields.pop("num_classes", None)
    blank = fields.get("blank", 0)
    # As many entries as the blank needs to be a class.
    some = Alphabet("?" * max(1, blank if isinstance(blank, int) else 1))
    draft = _card(fields, some)
    widths = [draft.only_width or _WIDE]
    if "time_stride" not in description.fields and draft.only_width is None:
        widths.insert(0, _NARROW)
    found = [run(draft, width) for width in widths]
    classes = found[-1][1]
    if stated not in (None, classes):
        raise ModelError(f"model card: num_classes is {stated}, the graph has {classes:,} classes")
    try:
        alphabet = fitting_alphabet(description.alphabet, classes)
    except CrnnError as error:
        raise ModelError(str(error)) from error
    card = _card(fields, alphabet)
    if "time_stride" in description.fields:
        return card
    return card.replace(time_stride=_time_stride(dict(zip(widths, found, strict=True))))


def _card(fields: Fields, alphabet: Alphabet) -> ModelCard:
    content = {**fields, "alphabet": list(alphabet), "num_classes": alphabet.num_classes}
    return ModelCard.from_json(json.dumps(content))


def _time_stride(found: Mapping[int, tuple[int, int]]) -> int:
    """Pixels a time step: width in pixels → (time steps, classes), of one width or two."""
    (width, (steps, _)), *others = found.items()
    if not others:
        return max(1, round(width / steps))
    ((wide, (more_steps, _)),) = others
    more = more_steps - steps
    if more <= 0 or (wide - width) % more:
        raise ModelError(
            f"the graph gives {more} time steps more for lines {wide} than {width} pixels wide: "
            "state time_stride, in pixels, in the model card"
        )
    return (wide - width) // more
