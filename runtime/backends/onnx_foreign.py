"""A foreign graph in ONNX Runtime: its model card, and lines and outputs in its own form."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.alphabet import AlphabetSource, fitting_alphabet, read_dictionary
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.foreign import Gives, Graph
from crnn_runtime.model.foreign_card import (
    PPOCR_FIELDS,
    PPOCR_HEIGHT,
    PPOCR_KEY,
    Description,
    complete,
    ppocr_dictionary,
    read_card_file,
)
from crnn_runtime.picture.preprocess import padded_width
from crnn_runtime.readers.known import dictionary_beside

if TYPE_CHECKING:
    from crnn_runtime.backends.onnx_runtime import OnnxSession

_BLANK_WIDTH = 64  # of the line that a graph is tried on, if it takes any
_TOLERANCE = 0.05  # of probabilities and their sum: graphs may compute in 8 bits
_PADDLE = "PaddlePaddle"  # in the graph's name, as its exporters write it


class ForeignGraph:
    """Runs a graph that ``crnn-export`` did not write as if it had.

    Args:
        session: the loaded graph.
        graph: its interface.

    Raises:
        ModelError: the graph is not one of a line reader, or has several inputs or
            outputs and none is chosen.
    """

    def __init__(self, session: "OnnxSession", graph: Graph) -> None:
        self._session = session
        self._graph = graph
        inputs = session.graph.get_inputs()
        self._input, shape = _choose("input", inputs, graph.input)
        self._output, out_shape = _choose("output", session.graph.get_outputs(), graph.output)
        if len(shape) != 4:
            raise ModelError(
                f"its input {self._input} has {len(shape)} axes, not those of pictures (4): it is "
                "no line reader"
            )
        if out_shape:  # empty if the graph does not say
            _check_output(self._output, len(out_shape))
        kind = next(value.type for value in inputs if value.name == self._input)
        if kind != "tensor(float)":
            raise ModelError(f"input {self._input} is a {kind}, not a tensor(float)")
        sizes = [size if isinstance(size, int) and size > 0 else None for size in shape]
        self.shape = dict(zip(graph.layout, sizes, strict=True))
        """Axis (n, c, h, w) → the size that the graph insists on, None if it is dynamic."""

    def check(self, card: ModelCard) -> None:
        """Compare the card with what the graph takes.

        Raises:
            ModelError: they do not fit together.
        """
        own = {"c": ("channels", card.channels), "h": ("pixels of height", card.height)}
        for axis, (name, value) in own.items():
            if self.shape[axis] not in (None, value):
                wanted = self.shape[axis]
                raise ModelError(f"the graph wants {wanted} {name}, its card says {value}")
        width = self.shape["w"]
        if width is not None and width != card.only_width:
            raise ModelError(
                f'the graph takes lines of {width} pixels only: say "width": {width} (lines are '
                f'stretched) or "min_width": {width}, "max_width": {width} (padded) in its card'
            )

    def sizes(self, card: ModelCard, width: int) -> tuple[int, int]:
        """Time steps and classes that a blank line gives; the card's alphabet does not matter.

        Raises:
            ModelError: the card does not fit what the graph takes, or the graph fails.
        """
        self.check(card)
        shape = self._blank_line(card, width).shape
        return shape[self._graph.order.index("t")], shape[self._graph.classes_axis()]

    def check_values(self, card: ModelCard) -> None:
        """Run the graph on a blank line and compare what it gives with its card.

        Raises:
            ModelError: they do not fit together.
        """
        output = self._blank_line(card, padded_width(card, card.width or _BLANK_WIDTH))
        classes = output.shape[self._graph.classes_axis()]
        if classes != card.num_classes:
            raise ModelError(
                f"the graph has {classes:,} classes, its card's alphabet makes "
                f"{card.num_classes:,} with the blank"
            )
        check_values(self._graph, output)

    def infer(self, images: NDArray[np.float32], blank: int) -> dict[str, NDArray[Any]]:
        """(N, C, H, W) → outputs of a ``log-probs`` head, the blank as class 0."""
        size = self.shape["n"] or len(images)
        parts = []
        for start in range(0, len(images), size):
            part = images[start : start + size]
            missing = size - len(part)  # the last of a graph that insists on its batch size
            padded = np.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else part
            (output,) = self._session.run(
                self._input, [self._output], _in_layout(padded, self._graph)
            )
            parts.append(log_probs(self._graph, output, blank)[: len(part)])
        return {"log_probs": parts[0] if len(parts) == 1 else np.concatenate(parts)}

    def _blank_line(self, card: ModelCard, width: int) -> NDArray[Any]:
        """Runs the graph on a blank line and returns its output, its axes in the graph's order."""
        size = (self.shape["n"] or 1, card.channels, card.height, width)
        lines = _in_layout(np.zeros(size, np.float32), self._graph)
        try:
            (output,) = self._session.run(self._input, [self._output], lines)
        except CrnnError:
            raise
        except Exception as error:  # the library's exceptions share no base class
            reason = str(error).strip().splitlines()[-1]
            raise ModelError(
                f"the graph fails on a blank line {'×'.join(map(str, lines.shape))}: {reason}"
            ) from error
        _check_output(self._output, output.ndim)
        return output


def _check_output(name: str, axes: int) -> None:
    """Refuse what gives something else than classes of time steps."""
    if axes == 3:
        return
    likely = {2: ": it may be a classifier", 4: ": it may be a text detector"}.get(axes, "")
    raise ModelError(
        f"it is no line reader: its output {name} has {axes} axes, not those of lines, time "
        f"steps and classes (3){likely}"
    )


def open_foreign(
    session: "OnnxSession",
    path: Path,
    card: str | Path | ModelCard | None,
    alphabet: AlphabetSource | None,
) -> tuple[ForeignGraph, ModelCard]:
    """The graph and its complete card, checked against each other.

    Args:
        session: the loaded graph.
        path: of its file, in whose neighbourhood its alphabet may lie.
        card: what a person says of it.
        alphabet: what a person says that it is.

    Raises:
        ModelError: they do not fit together, or too little is known.
    """
    if isinstance(card, ModelCard):
        if alphabet is not None:
            raise ModelError("its card holds an alphabet: another cannot be given")
        described = card if card.graph else card.replace(graph=Graph())
        assert described.graph is not None
        graph = ForeignGraph(session, described.graph)
        graph.check(described)
        _demand_same_alphabet(session, described)
        graph.check_values(described)
        return graph, described
    if card is None:
        ForeignGraph(session, Graph())  # a detector needs no card: it is no reader
    description = _describe(session, path, card, alphabet)
    graph = ForeignGraph(session, Graph.from_fields(description.fields.get("graph") or {}))
    if "height" not in description.fields and card is None:
        description.fields["height"] = graph.shape["h"] or PPOCR_HEIGHT
    complete_card = complete(description, graph.sizes)
    _demand_same_alphabet(session, complete_card)
    graph.check_values(complete_card)
    return graph, complete_card


def _describe(
    session: "OnnxSession",
    path: Path,
    card: str | Path | None,
    alphabet: AlphabetSource | None,
) -> Description:
    """Collects what a person, the file and the files beside it say of a reader."""
    metadata = session.metadata
    fields, stated = read_card_file(card) if card is not None else ({}, None)
    if stated is not None and alphabet is not None:
        raise ModelError(f"model card {card} holds an alphabet: another cannot be given")
    found = stated or alphabet
    beside = dictionary_beside(path)
    try:
        if found is None and PPOCR_KEY in metadata:
            found = ppocr_dictionary(metadata)
        elif found is None and beside is not None:
            found = read_dictionary(beside, is_given=False)
    except CrnnError as error:
        raise ModelError(str(error)) from error
    is_paddles = PPOCR_KEY in metadata or _PADDLE in session.graph.get_modelmeta().graph_name
    if card is None and (is_paddles or beside is not None):
        fields = dict(PPOCR_FIELDS)
    elif card is None:
        raise ModelError(
            "no model card inside, make the file with crnn-export, or describe it in a card of "
            "its own (--card, see docs/foreign.md)"
            + ("; an alphabet alone is enough for PP-OCR's readers only" if alphabet else "")
        )
    if found is None:
        raise ModelError(
            "nobody says its alphabet: give its dictionary with --alphabet, or with alphabet or "
            "alphabet_file in its card"
        )
    return Description(fields, found)


def _demand_same_alphabet(session: "OnnxSession", card: ModelCard) -> None:
    """Refuse an alphabet that contradicts the one in the file."""
    metadata = session.metadata
    if PPOCR_KEY not in metadata:
        return
    try:
        own = fitting_alphabet(ppocr_dictionary(metadata), card.num_classes)
    except CrnnError:
        return  # the file's own does not fit it
    differing = sum(a != b for a, b in zip(own, card.alphabet, strict=True))
    if differing:
        raise ModelError(
            f"the file holds an alphabet of its own, from which the given one differs in "
            f"{differing:,} of {len(own):,} entries: leave out the alphabet"
        )


def _choose(what: str, values: Sequence[Any], name: str | None) -> tuple[str, list[Any]]:
    """The value that the card names, or the only one: its name and shape."""
    names = [value.name for value in values]
    if name is None and len(values) != 1:
        raise ModelError(f"the graph has {what}s {', '.join(names)}: name one in graph.{what}")
    if name is not None and name not in names:
        raise ModelError(f"the graph has no {what} {name!r}: it has {', '.join(names)}")
    chosen = values[0] if name is None else values[names.index(name)]
    return chosen.name, list(chosen.shape)


def _in_layout(images: NDArray[np.float32], graph: Graph) -> NDArray[np.float32]:
    """(N, C, H, W) → the graph's layout."""
    if graph.layout == "nhwc":
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return images


def check_values(graph: Graph, output: NDArray[Any]) -> None:
    """Compare an output with what the card says that the graph gives.

    Raises:
        ModelError: it is something else.
    """
    scores = output.astype(np.float64)
    looks = _looks_like(scores, graph.classes_axis())
    if looks == graph.gives or (graph.gives == "logits" and looks == "log-probs"):
        return  # the softmax of log-probabilities is what they are
    raise ModelError(
        f'model card: graph.gives is "{graph.gives}", but the values from '
        f"{scores.min():.3g} to {scores.max():.3g} that the graph gives look like "
        + (f'{looks}: say "gives": "{looks}"' if looks else "none, they are not all numbers")
    )


def log_probs(graph: Graph, output: NDArray[Any], blank: int) -> NDArray[np.float32]:
    """The graph's output → log-probabilities (N, T, C) with the blank as class 0.

    Args:
        graph: its interface.
        output: in the graph's order.
        blank: the blank's class in it; the characters keep their order.
    """
    axes = [graph.order.index(axis) for axis in "ntc"]
    scores: NDArray[np.float32] = output.transpose(axes).astype(np.float32)  # a copy: ours
    if graph.gives == "probs":
        np.maximum(scores, np.finfo(np.float32).tiny, out=scores)
        np.log(scores, out=scores)
    elif graph.gives == "logits":
        scores -= scores.max(axis=2, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=2, keepdims=True))
    if blank:
        scores[:, :, : blank + 1] = np.roll(scores[:, :, : blank + 1], 1, axis=2)
    return scores


def _looks_like(scores: NDArray[np.float64], axis: int) -> Gives | None:
    """The kind of an output's values, None if it holds NaN or infinity."""
    if np.isnan(scores).any() or np.isposinf(scores).any():
        return None
    if scores.min() >= -_TOLERANCE and _is_one(scores.sum(axis=axis)):
        return "probs"
    if scores.max() <= _TOLERANCE and _is_one(np.exp(scores).sum(axis=axis)):
        return "log-probs"
    return "logits" if np.isfinite(scores).all() else None


def _is_one(sums: NDArray[np.float64]) -> bool:
    return bool((np.abs(sums - 1) <= _TOLERANCE).all())
