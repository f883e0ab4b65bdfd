"""Edits that make a foreign graph one of this project's: its input, its outputs, its form."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from crnn.checkpoints.onnx_layers import fold_constants
from crnn_export.to_onnx import OPSET
from crnn_runtime.backends import INPUT_NAME, OUTPUT_NAMES
from crnn_runtime.errors import ModelError
from crnn_runtime.model.card import Head, ModelCard
from crnn_runtime.model.foreign import Graph

_PREFIX = "network/"
"""Put before all names of the foreign graph, so that none is one of ours."""
_CLASSES = 2  # axis of (N, T, C)


def as_reader(model: onnx.ModelProto, card: ModelCard, head: Head, k: int) -> onnx.ModelProto:
    """A foreign graph with the interface of a file that ``crnn-export`` wrote.

    The computation stays as it is: constants become initialisers, old operators are
    spelt in the opset of this project's files, and the head is put behind the output.

    Args:
        model: of a file whose card was checked against it, see
            `crnn_runtime.backends.onnx_foreign`.
        card: of it, with its `Graph`.
        head: what the graph is to give.
        k: classes per step of the ``topk`` head.

    Raises:
        ModelError: the graph cannot be brought to the opset.
    """
    assert card.graph is not None
    model = _modern(model)
    _store_constants(model)
    onnx.compose.add_prefix(model, _PREFIX, rename_nodes=True, inplace=True)
    graph = model.graph
    taken = _chosen([value.name for value in graph.input], card.graph.input)
    given = _chosen([value.name for value in graph.output], card.graph.output)
    kind = next(v.type.tensor_type.elem_type for v in graph.output if v.name == given)
    before = _input_node(card.graph, taken)
    behind = _Tail(given)
    behind.normalise(card, kind, head)
    behind.add_head(head, k)
    nodes = [before, *graph.node, *behind.nodes]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(behind.constants)
    _declare(graph, card, head, k)
    onnx.checker.check_model(model, full_check=True)
    return model


def _modern(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in `OPSET`, or what is newer."""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    own = versions.get("", versions.get("ai.onnx", OPSET))
    if own >= OPSET:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:  # RuntimeError and the checker's own
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"it is of ONNX opset {own} and cannot be brought to {OPSET} ({reason}): export it "
            f"with opset {OPSET} from where it was made"
        ) from error


def _store_constants(model: onnx.ModelProto) -> None:
    """Make what depends on stored tensors alone an initialiser, and no initialiser an input."""
    graph = model.graph
    constants, nodes = fold_constants(model)
    used = {name for node in nodes for name in _needed(node)}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        numpy_helper.from_array(constants[name], name) for name in constants if name in used
    )
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)


def _needed(node: onnx.NodeProto) -> set[str]:
    """Names that a node takes, those of the graphs within it included."""
    inner = [
        graph
        for attribute in node.attribute
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else []))
    ]
    outputs = {value.name for graph in inner for value in graph.output}
    return {*node.input, *outputs, *(n for g in inner for each in g.node for n in _needed(each))}


def _chosen(names: Sequence[str], wanted: str | None) -> str:
    """The value that the card names, or the only one: the card was checked."""
    return names[0] if wanted is None else _PREFIX + wanted


def _input_node(graph: Graph, name: str) -> onnx.NodeProto:
    """Images (N, C, H, W) → the graph's own input."""
    if graph.layout == "nchw":
        return helper.make_node("Identity", [INPUT_NAME], [name])
    perm = ["nchw".index(axis) for axis in graph.layout]
    return helper.make_node("Transpose", [INPUT_NAME], [name], perm=perm)


class _Tail:
    """Nodes behind a graph's output, one after the other; `last` is what they give."""

    def __init__(self, output: str) -> None:
        self.last = output
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(
        self,
        kind: str,
        *others: str,
        **attributes: Any,  # noqa: ANN401 (an operator's own)
    ) -> None:
        """A node from `last`, which becomes what the node gives."""
        name = f"head/{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.last, *others], [name], **attributes))
        self.last = name

    def constant(self, values: NDArray[Any]) -> str:
        """The name of a stored tensor."""
        name = f"head/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def normalise(self, card: ModelCard, kind: int, head: Head) -> None:
        """Turns the graph's output into (N, T, C) float32 with the blank as class 0: probabilities
        for the greedy head, which is spared the logarithm, else log-probabilities.
        """
        graph = card.graph
        assert graph is not None
        if graph.order != "ntc":
            self.add("Transpose", perm=[graph.order.index(axis) for axis in "ntc"])
        if kind != TensorProto.FLOAT:
            self.add("Cast", to=TensorProto.FLOAT)
        if card.blank:
            others = np.delete(np.arange(card.num_classes), card.blank)
            self.add("Gather", self.constant(np.array([card.blank, *others])), axis=_CLASSES)
        if graph.gives == "logits":
            self.add("Softmax" if head == "greedy" else "LogSoftmax", axis=_CLASSES)
        elif graph.gives == "probs" and head != "greedy":
            self.add(
                "Max", self.constant(np.full((1, 1, 1), np.finfo(np.float32).tiny, np.float32))
            )
            self.add("Log")
        elif graph.gives == "log-probs" and head == "greedy":
            self.add("Exp")

    def add_head(self, head: Head, k: int) -> None:
        """The outputs that `OUTPUT_NAMES` lists for a head."""
        scores, names = self.last, OUTPUT_NAMES[head]
        if head == "greedy":
            self.add("ArgMax", axis=_CLASSES, keepdims=0)
            self._give("Cast", [self.last], names[:1], to=TensorProto.INT32)
            axes = self.constant(np.array([_CLASSES]))
            self._give("ReduceMax", [scores, axes], names[1:], keepdims=0)
        elif head == "topk":
            count = self.constant(np.array([k]))
            self._give("TopK", [scores, count], [names[1], "head/ids"], axis=_CLASSES)
            self._give("Cast", ["head/ids"], names[:1], to=TensorProto.INT32)
        else:
            self._give("Identity", [scores], names)

    def _give(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        **attributes: Any,  # noqa: ANN401 (an operator's own)
    ) -> None:
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))


def _declare(graph: onnx.GraphProto, card: ModelCard, head: Head, k: int) -> None:
    """Input and outputs with the axes' names of this project's files."""
    (shape,) = (value.type.tensor_type.shape.dim for value in graph.input)
    assert card.graph is not None
    width = shape[card.graph.layout.index("w")].dim_value or "width"
    images: list[str | int | None] = ["batch", card.channels, card.height, width]
    last = {"greedy": [], "topk": [k], "log-probs": [card.num_classes]}[head]
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, images))
    for name in OUTPUT_NAMES[head]:
        kind = TensorProto.INT32 if name.endswith("ids") else TensorProto.FLOAT
        axes: list[str | int | None] = ["batch", "steps", *last]
        graph.output.append(helper.make_tensor_value_info(name, kind, axes))
