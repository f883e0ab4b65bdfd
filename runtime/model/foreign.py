"""Graphs that ``crnn-export`` did not write: how they take lines and what they give.

A model card with a `Graph` describes one. Nothing else in the runtime knows of
such differences: a backend brings lines and outputs to this project's form.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ModelError

Layout = Literal["nchw", "nhwc"]
Order = Literal["ntc", "tnc", "nct"]
Gives = Literal["log-probs", "probs", "logits"]
_TOLERANCE = 0.05  # of probabilities and their sum: graphs may compute in 8 bits


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
                f"model card: graph has unknown fields {', '.join(unknown)}: "
                f"known are {', '.join(known)}"
            )
        return cls(**fields)

    def lines(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, C, H, W) → the graph's layout."""
        if self.layout == "nhwc":
            return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        return images

    def classes_axis(self) -> int:
        """Returns the axis of the output that counts classes."""
        return self.order.index("c")

    def check_values(self, output: NDArray[Any]) -> None:
        """Compare an output with what the card says that the graph gives.

        Raises:
            ModelError: it is something else.
        """
        scores = output.astype(np.float64)
        looks = _looks_like(scores, self.classes_axis())
        if looks == self.gives or (self.gives == "logits" and looks == "log-probs"):
            return  # the softmax of log-probabilities is what they are
        raise ModelError(
            f'model card: graph.gives is "{self.gives}", but the values from '
            f"{scores.min():.3g} to {scores.max():.3g} that the graph gives look like "
            + (f'{looks}: say "gives": "{looks}"' if looks else "none, they are not all numbers")
        )

    def log_probs(self, output: NDArray[Any], blank: int) -> NDArray[np.float32]:
        """The graph's output → log-probabilities (N, T, C) with the blank as class 0.

        Args:
            output: in the graph's order.
            blank: the blank's class in it; the characters keep their order.
        """
        axes = [self.order.index(axis) for axis in "ntc"]
        scores: NDArray[np.float32] = output.transpose(axes).astype(np.float32)  # a copy: ours
        if self.gives == "probs":
            np.maximum(scores, np.finfo(np.float32).tiny, out=scores)
            np.log(scores, out=scores)
        elif self.gives == "logits":
            scores -= scores.max(axis=2, keepdims=True)
            scores -= np.log(np.exp(scores).sum(axis=2, keepdims=True))
        if blank:
            scores[:, :, : blank + 1] = np.roll(scores[:, :, : blank + 1], 1, axis=2)
        return scores


def _looks_like(scores: NDArray[np.float64], axis: int) -> Gives | None:
    """Guesses what kind of scores an output holds; None if it holds NaN or infinity."""
    if np.isnan(scores).any() or np.isposinf(scores).any():
        return None
    if scores.min() >= -_TOLERANCE and _is_one(scores.sum(axis=axis)):
        return "probs"
    if scores.max() <= _TOLERANCE and _is_one(np.exp(scores).sum(axis=axis)):
        return "log-probs"
    return "logits" if np.isfinite(scores).all() else None


def _is_one(sums: NDArray[np.float64]) -> bool:
    return bool((np.abs(sums - 1) <= _TOLERANCE).all())
