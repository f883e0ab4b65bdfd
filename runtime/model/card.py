"""The model card: everything a reader needs besides its weights.

It travels inside the checkpoint, inside the ONNX file (metadata) and beside a
TensorRT engine (``<engine>.json``), so that a dictionary or a preprocessing
cannot get lost between training and deployment.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.foreign import Graph

CARD_FORMAT = 1
METADATA_KEY = "crnn.card"
"""Key of the card among an ONNX file's ``metadata_props``."""

ColorOrder = Literal["rgb", "bgr", "gray"]
Head = Literal["greedy", "topk", "log-probs"]
HEADS: tuple[Head, ...] = get_args(Head)
Shrink = Literal["area", "linear"]
Pad = Literal["mean", "black", "white", "edge"]
PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8", "int8-cpu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Describes a reader, independently of where it runs.

    The defaults are those of the toolkit whose checkpoints this project reads:
    three channels in RGB order, height 32, and its data set's mean and
    standard deviation (of pixels scaled to 0..1).

    Attributes:
        arch: name of the architecture, a key of ``crnn.BACKBONES``.
        alphabet: the characters; `num_classes` follows from it.
        blank: class index of the CTC blank: 0, but where `graph` is given.
        height: height in pixels that a line is scaled to.
        width: fixed width in pixels that every line is stretched to; None keeps
            the aspect ratio.
        min_width: every line is padded to at least this width in pixels.
        max_width: widest line in pixels at `height` that is read.
        shrink: how pictures are made smaller: ``area`` averages, ``linear``
            interpolates, which is what most other projects train with.
        pad: colour of the padding: ``mean`` is 0 after normalisation, ``edge``
            repeats the last column.
        color: order of the channels.
        mean: per channel, of pixels in 0..1.
        std: per channel, of pixels in 0..1.
        time_stride: pixels per time step.
        time_origin: pixel on which time step 0 is centred; pixel 0 is at 0.0.
        head: what the exported graph gives: ``greedy`` the best class and its
            probability per step, ``topk`` the k best, ``log-probs`` all.
        precision: of the exported graph's weights and arithmetic.
        graph: the interface of a graph that ``crnn-export`` did not write.
        training: summary of the training run: data, steps, accuracy, …
        evaluation: how well it reads: data set → `crnn.metrics.Scores` as a mapping.
        export: how the artefact was made and how far it is from the checkpoint.
        hashes: SHA-256 of the artefacts that this one was made from.
        versions: of the software that made this artefact.
    """

    arch: str
    alphabet: Alphabet
    blank: int = 0
    height: int = 32
    width: int | None = None
    min_width: int = 1
    max_width: int = 2048
    shrink: Shrink = "area"
    pad: Pad = "mean"
    color: ColorOrder = "rgb"
    mean: tuple[float, ...] = (0.396, 0.576, 0.562)
    std: tuple[float, ...] = (0.154, 0.128, 0.130)
    time_stride: int
    time_origin: float = 0.0
    head: Head = "log-probs"
    precision: str = "fp32"
    graph: Graph | None = None
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    evaluation: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    export: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_types()
        channels = self.channels
        if len(self.mean) != channels or len(self.std) != channels:
            raise ModelError(
                f"model card: mean and std need {channels} values for colour {self.color!r}, "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        if min(self.std) <= 0:
            raise ModelError(f"model card: std must be positive, got {self.std}")
        self._check_blank()
        for name in ("height", "min_width", "max_width", "time_stride"):
            if getattr(self, name) < 1:
                raise ModelError(f"model card: {name} must be positive, got {getattr(self, name)}")
        for name in ("width", "min_width"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= self.max_width:
                raise ModelError(f"model card: {name} {value} is outside 1..{self.max_width}")
        if self.precision not in PRECISIONS:
            raise ModelError(
                f"model card: precision {self.precision!r} is not one of {', '.join(PRECISIONS)}"
            )
        for name, known in (("head", HEADS), ("shrink", get_args(Shrink)), ("pad", get_args(Pad))):
            if getattr(self, name) not in known:
                raise ModelError(
                    f"model card: {name} {getattr(self, name)!r} is not one of {', '.join(known)}"
                )

    def _check_blank(self) -> None:
        if self.graph is None and self.blank != 0:
            raise ModelError(
                f"model card: the blank must be class 0, got {self.blank}: "
                'only a foreign graph, described by the field "graph", may have another'
            )
        if not 0 <= self.blank < self.num_classes:
            raise ModelError(
                f"model card: blank {self.blank} is outside 0..{self.num_classes - 1}, "
                "the classes that the alphabet makes"
            )
        if self.graph is not None and self.head != "log-probs":
            raise ModelError("model card: the head of a foreign graph must be log-probs")

    def _check_types(self) -> None:
        for name in ("blank", "height", "min_width", "max_width", "time_stride"):
            if type(getattr(self, name)) is not int:
                raise ModelError(f"model card: {name} must be a whole number")
        if self.width is not None and type(self.width) is not int:
            raise ModelError("model card: width must be a whole number or null")
        if type(self.time_origin) not in (int, float):
            raise ModelError("model card: time_origin must be a number")

    @property
    def channels(self) -> int:
        """1 for grey, else 3."""
        if self.color not in get_args(ColorOrder):
            raise ModelError(f"model card: color {self.color!r} is not one of rgb, bgr, gray")
        return 1 if self.color == "gray" else 3

    @property
    def only_width(self) -> int | None:
        """The one width in pixels that every line is brought to, None if there are several."""
        return self.width or (self.max_width if self.min_width == self.max_width else None)

    @property
    def num_classes(self) -> int:
        """Classes of the model's output: the alphabet and the blank."""
        return self.alphabet.num_classes

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back to an equal card."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        characters = self.alphabet.characters
        joined = "".join(characters)
        fields["alphabet"] = joined if len(joined) == len(characters) else list(characters)
        fields["graph"] = self.graph and dataclasses.asdict(self.graph)
        content = {"format": CARD_FORMAT, "num_classes": self.num_classes, **fields}
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a card.

        Raises:
            ModelError: not JSON, of a newer format, a field is missing, unknown or
                wrong, or the stated class count does not match the alphabet.
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ModelError(f"model card is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise ModelError("model card is not a JSON object")
        if content.pop("format", None) != CARD_FORMAT:
            raise ModelError(f"model card is not of format {CARD_FORMAT}: update crnn")
        stated = content.pop("num_classes", "no number of")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(content.keys() - known):
            raise ModelError(f"model card has unknown fields: {', '.join(map(repr, unknown))}")
        try:
            content["alphabet"] = Alphabet(content["alphabet"])
            if content.get("graph") is not None:
                content["graph"] = Graph.from_fields(content["graph"])
            for name in {"mean", "std"} & content.keys():
                content[name] = tuple(float(value) for value in content[name])
            card = cls(**content)
        except ModelError:
            raise
        except (CrnnError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"model card: {error}") from error
        if stated != card.num_classes:
            raise ModelError(
                f"model card states {stated} classes but its alphabet makes {card.num_classes}"
            )
        return card
