"""Graphs that ``crnn-export`` did not write: how they take lines and what they give.

A model card with a `Graph` describes one. Nothing else in the runtime knows of
such differences: a backend brings lines and outputs to this project's form.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from crnn_runtime.errors import ModelError

Layout = Literal["nchw", "nhwc"]
Order = Literal["ntc", "tnc", "nct"]
Gives = Literal["log-probs", "probs", "logits"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graph:
    """The interface of a foreign graph; the defaults are this project's own.

    Attributes:
        input: name of the input; None is the only one.
        output: name of the output; None is the only one.
        layout: order of the input's axes: lines, channels, height, width.
        order: order of the output's axes: lines, time steps, classes.
        gives: what the output holds.
    """

    input: str | None = None
    output: str | None = None
    layout: Layout = "nchw"
    order: Order = "ntc"
    gives: Gives = "log-probs"

    def __post_init__(self) -> None:
        for name, kinds in (("layout", Layout), ("order", Order), ("gives", Gives)):
            value, known = getattr(self, name), get_args(kinds)
            if value not in known:
                raise ModelError(f"model card: graph.{name} {value!r} is not {', '.join(known)}")
        for name in ("input", "output"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ModelError(f"model card: graph.{name} must be a name or null")

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Read the card's field ``graph``.

        Raises:
            ModelError: a field is unknown or wrong.
        """
        if not isinstance(fields, Mapping):
            raise ModelError("model card: graph is not a JSON object")
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(set(fields) - set(known)):
            raise ModelError(
                f"model card: graph has unknown fields {', '.join(map(repr, unknown))}: "
                f"known are {', '.join(known)}"
            )
        return cls(**fields)

    def classes_axis(self) -> int:
        """Returns the axis of the output that counts classes."""
        return self.order.index("c")
