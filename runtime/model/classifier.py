"""Counts the classes that a graph's classifier has, from its weights and without an ONNX library.

A head that gives the best class alone hides how many there are. A card with another alphabet
would then read every character as its neighbour, so the classes are counted where they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crnn_runtime.errors import ModelError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.onnx_bytes import Buffer, Field, fields_of, mapped, numbers_of

_GRAPH = 7  # of a model
_NODE, _TENSOR = 1, 5  # of a graph
_PRODUCTS = {b"Conv", b"Gemm", b"MatMul"}
# Between a stored tensor and the product that uses it.
_PASSING = {
    *(b"Cast", b"DequantizeLinear", b"Identity", b"QuantizeLinear"),
    *(b"Reshape", b"Squeeze", b"Transpose", b"Unsqueeze"),
}


@dataclass
class _Node:
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    kind: bytes = b""


def check_classes(path: Path, card: ModelCard) -> None:
    """Compare a card with the classes that its file's graph makes.

    Raises:
        ModelError: the card is of another model.
    """
    sizes = classifier_sizes(path)
    if sizes and card.num_classes not in sizes:
        shape = "×".join(map(str, sizes))
        raise ModelError(
            f"{path}: its card's alphabet makes {card.num_classes:,} classes with the blank, its "
            f"classifier, of {shape} weights, has others: the card belongs to another model"
        )


def classifier_sizes(path: Path) -> tuple[int, ...]:
    """The axes of the weights of a graph's last product, of which one counts classes.

    Args:
        path: of an ONNX file.

    Returns:
        Empty where the graph has none, or they are not stored as a tensor.

    Raises:
        ModelError: it is no ONNX file.
    """
    with mapped(path) as data:
        (graph,) = (each for each in fields_of(data, 0, len(data)) if each.number == _GRAPH)
        sizes: dict[bytes, tuple[int, ...]] = {}
        nodes: list[_Node] = []
        for part in fields_of(data, graph.start, graph.end):
            if part.number == _NODE:
                nodes.append(_node(data, part))
            elif part.number == _TENSOR:
                name, shape = _tensor(data, part)
                sizes[name] = shape
    last = next((node for node in reversed(nodes) if node.kind in _PRODUCTS), None)
    if last is None:
        return ()
    makers = {name: node for node in nodes for name in node.outputs}
    return next(filter(None, (_stored(name, makers, sizes) for name in last.inputs[:2])), ())


def _stored(
    name: bytes, makers: Mapping[bytes, _Node], sizes: Mapping[bytes, Sequence[int]]
) -> tuple[int, ...]:
    """The shape of the stored tensor that a value is made of; empty if it is computed."""
    while name not in sizes:
        node = makers.get(name)
        if node is None or node.kind not in _PASSING:
            return ()
        name = node.inputs[0]
    return tuple(sizes[name])


def _node(data: Buffer, message: Field) -> _Node:
    node = _Node()
    for part in fields_of(data, message.start, message.end):
        if part.number in (1, 2):
            (node.inputs if part.number == 1 else node.outputs).append(
                bytes(data[part.start : part.end])
            )
        elif part.number == 4:
            node.kind = bytes(data[part.start : part.end])
    return node


def _tensor(data: Buffer, message: Field) -> tuple[bytes, tuple[int, ...]]:
    name, shape = b"", list[int]()
    for part in fields_of(data, message.start, message.end):
        if part.number == 1:
            shape += numbers_of(data, part)
        elif part.number == 8:
            name = bytes(data[part.start : part.end])
    return name, tuple(shape)
