"""A foreign graph in ONNX Runtime: its model card, and lines and outputs in its own form."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import ModelError
from crnn_runtime.model.card import METADATA_KEY, ModelCard
from crnn_runtime.model.foreign import Graph
from crnn_runtime.model.foreign_card import (
    PPOCR_KEY,
    Fields,
    complete,
    ppocr_fields,
    read_card_file,
)
from crnn_runtime.picture.preprocess import padded_width

if TYPE_CHECKING:
    import onnxruntime as ort

_BLANK_WIDTH = 64  # of the line that a graph is tried on, if it takes any
Run = Callable[[str, Sequence[str], NDArray[np.float32]], list[NDArray[Any]]]
"""(name of the input, names of the outputs, lines) → outputs."""


class ForeignGraph:
    """Runs a graph that ``crnn-export`` did not write as if it had.

    Args:
        session: the loaded graph.
        run: runs it.
        graph: its interface.

    Raises:
        ModelError: the graph is not one of a line reader, or has several inputs or
            outputs and none is chosen.
    """

    def __init__(self, session: "ort.InferenceSession", run: Run, graph: Graph) -> None:
        self._run = run
        self._graph = graph
        self._input, shape = _choose("input", session.get_inputs(), graph.input)
        self._output, out_shape = _choose("output", session.get_outputs(), graph.output)
        if len(shape) != 4 or len(out_shape) != 3:
            raise ModelError(
                f"input {self._input} of shape {shape} and output {self._output} of shape "
                f"{out_shape} are not those of a line reader (4 and 3 axes)"
            )
        kind = next(value.type for value in session.get_inputs() if value.name == self._input)
        if kind != "tensor(float)":
            raise ModelError(f"input {self._input} is a {kind}, not a tensor(float)")
        sizes = [size if isinstance(size, int) and size > 0 else None for size in shape]
        self.shape = dict(zip(graph.layout, sizes, strict=True))
        """Axis (n, c, h, w) → the size that the graph insists on, None if it is dynamic."""
        self.classes = out_shape[graph.classes_axis()]
        """Classes of the output, a name if they are dynamic."""

    def check(self, card: ModelCard) -> None:
        """Compare the card with the graph.

        Raises:
            ModelError: they do not fit together.
        """
        own = {"c": ("channels", card.channels), "h": ("pixels of height", card.height)}
        for axis, (name, value) in own.items():
            if self.shape[axis] not in (None, value):
                wanted = self.shape[axis]
                raise ModelError(f"the graph wants {wanted} {name}, its card says {value}")
        width = self.shape["w"]
        fixed = card.width or (card.max_width if card.min_width == card.max_width else None)
        if width is not None and width != fixed:
            raise ModelError(
                f'the graph takes lines of {width} pixels only: say "width": {width} (lines are '
                f'stretched) or "min_width": {width}, "max_width": {width} (padded) in its card'
            )
        if isinstance(self.classes, int) and self.classes != card.num_classes:
            raise ModelError(
                f"the graph has {self.classes} classes, its card's alphabet makes "
                f"{card.num_classes} with the blank"
            )

    def check_values(self, card: ModelCard) -> None:
        """Run the graph on a blank line and compare what it gives with its card.

        Raises:
            ModelError: they do not fit together.
        """
        width = padded_width(card, card.width or _BLANK_WIDTH)
        size = (self.shape["n"] or 1, card.channels, card.height, width)
        blank = self._graph.lines(np.zeros(size, np.float32))
        (output,) = self._run(self._input, [self._output], blank)
        self._graph.check_values(output)

    def infer(self, images: NDArray[np.float32], blank: int) -> dict[str, NDArray[Any]]:
        """(N, C, H, W) → outputs of a ``log-probs`` head, the blank as class 0."""
        size = self.shape["n"] or len(images)
        parts = []
        for start in range(0, len(images), size):
            part = images[start : start + size]
            missing = size - len(part)  # the last of a graph that insists on its batch size
            padded = np.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else part
            (output,) = self._run(self._input, [self._output], self._graph.lines(padded))
            parts.append(self._graph.log_probs(output, blank)[: len(part)])
        return {"log_probs": parts[0] if len(parts) == 1 else np.concatenate(parts)}


def foreign_card(
    session: "ort.InferenceSession", card: str | Path | ModelCard | None
) -> ModelCard | Fields:
    """A foreign file's card, or the fields of it that are known before the graph is run.

    Raises:
        ModelError: the file has no card and none is given, or has one and another
            is given.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY in metadata:
        raise ModelError("it has a model card inside: another cannot be given")
    if isinstance(card, ModelCard):
        return card if card.graph else card.replace(graph=Graph())
    if card is not None:
        return read_card_file(card)
    if PPOCR_KEY in metadata:
        _, shape = _choose("input", session.get_inputs(), None)
        _, out_shape = _choose("output", session.get_outputs(), None)
        return ppocr_fields(metadata, shape[2], out_shape[-1])
    raise ModelError(
        "no model card inside, make the file with crnn-export, or describe it in a card of its own "
        "(crnn-infer --card, see docs/foreign.md)"
    )


def open_foreign(
    session: "ort.InferenceSession", run: Run, described: ModelCard | Fields
) -> tuple[ForeignGraph, ModelCard]:
    """The graph and its complete card, checked against each other.

    Raises:
        ModelError: they do not fit together.
    """
    if isinstance(described, ModelCard):
        assert described.graph is not None
        graph = ForeignGraph(session, run, described.graph)
        graph.check(described)
        graph.check_values(described)
        return graph, described
    interface = Graph.from_fields(described.get("graph") or {})
    graph = ForeignGraph(session, run, interface)

    def steps(card: ModelCard, width: int) -> int:
        graph.check(card)
        blank_line = np.zeros((1, card.channels, card.height, width), np.float32)
        return int(graph.infer(blank_line, 0)["log_probs"].shape[1])

    card = complete(described, steps)
    graph.check(card)
    graph.check_values(card)
    return graph, card


def _choose(what: str, values: Sequence[Any], name: str | None) -> tuple[str, list[Any]]:
    """The value that the card names, or the only one: its name and shape."""
    names = [value.name for value in values]
    if name is None and len(values) != 1:
        raise ModelError(f"the graph has {what}s {', '.join(names)}: name one in graph.{what}")
    if name is not None and name not in names:
        raise ModelError(f"the graph has no {what} {name!r}: it has {', '.join(names)}")
    chosen = values[0] if name is None else values[names.index(name)]
    return chosen.name, list(chosen.shape)
