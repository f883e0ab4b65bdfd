"""ONNX files of readers: written with their card, and checked before anything is made of them."""

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from crnn_runtime.backends import INPUT_NAME, OUTPUT_NAMES
from crnn_runtime.errors import ModelError
from crnn_runtime.model.card import METADATA_KEY, ModelCard
from crnn_runtime.model.classifier import check_classes
from crnn_runtime.model.onnx_bytes import self_contained


@dataclasses.dataclass(frozen=True)
class OnnxSource:
    """A valid ONNX file of a line reader: input (N, C, H, W) with free N and W."""

    path: Path
    data: bytes = dataclasses.field(repr=False)
    card: ModelCard
    sha256: str

    @property
    def pixels(self) -> tuple[int, int]:
        """Channels and height of the input."""
        return self.card.channels, self.card.height


def read_source(path: Path) -> OnnxSource:
    """Read and check an ONNX file.

    TensorRT's own parser takes an empty or garbage file for a network without
    layers, so the check comes first.

    Raises:
        ModelError: the file is missing, not valid ONNX, or not a line reader that
            this project exported.
    """
    data = self_contained(path)
    try:
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        reason = next(iter(str(error).strip().splitlines()), "no content")
        raise ModelError(f"{path} is not a valid ONNX model: {reason}") from error
    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:  # the checker lets a future opset pass
        if opset.domain in ("", "ai.onnx") and opset.version > newest:
            raise ModelError(
                f"{path} is of ONNX opset {opset.version}, known are up to {newest}: "
                "export it with an older opset, or update onnx and TensorRT"
            )
    card = card_of(model, path)
    _check_graph(model, card, path)
    check_classes(path, card)
    return OnnxSource(path, data, card, hashlib.sha256(data).hexdigest())


def save_reader(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    """Write a graph with its card, and nothing of how and where it was made.

    PyTorch's exporter gives every node the stack of the code that it came from, with the
    paths of the machine: of a small reader that is most of the file.
    """
    _strip(model.graph)
    for function in model.functions:
        _strip_fields([function, *function.node])
    model.producer_name = "crnn"
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)


def _strip(graph: onnx.GraphProto) -> None:
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    _strip_fields([graph, *values, *graph.node])
    for node in graph.node:
        for attribute in node.attribute:
            for inner in attribute.graphs:
                _strip(inner)
            if attribute.HasField("g"):
                _strip(attribute.g)


def _strip_fields(messages: Iterable[Any]) -> None:
    for message in messages:
        message.ClearField("doc_string")
        message.ClearField("metadata_props")


def card_of(model: onnx.ModelProto, path: Path) -> ModelCard:
    """The model card inside an ONNX file.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            try:
                return ModelCard.from_json(entry.value)
            except ModelError as error:
                raise ModelError(f"{path}: {error}") from error
    raise ModelError(
        f"{path} has no model card, so it is not a line reader of this project: "
        "export it from a checkpoint with crnn-export"
    )


def _check_graph(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    inputs = {value.name: _dimensions(value) for value in model.graph.input}
    outputs = {value.name for value in model.graph.output}
    wanted = OUTPUT_NAMES[card.head]
    if list(inputs) != [INPUT_NAME] or not outputs.issuperset(wanted):
        raise ModelError(
            f"{path}: inputs {', '.join(inputs)} and outputs {', '.join(sorted(outputs))} are not "
            f"those of a reader with a {card.head} head ({INPUT_NAME}; {', '.join(wanted)})"
        )
    shape = inputs[INPUT_NAME]
    if len(shape) != 4 or shape[1:3] != [card.channels, card.height]:
        raise ModelError(
            f"{path}: input {INPUT_NAME} has shape {shape}, "
            f"expected [N, {card.channels}, {card.height}, W]"
        )
    for axis, name, accepted in ((0, "batch", (-1,)), (3, "width", (-1, card.only_width))):
        if shape[axis] not in accepted:
            raise ModelError(
                f"{path}: the {name} is fixed at {shape[axis]}: export it again, with a free {name}"
            )


def _dimensions(value: onnx.ValueInfoProto) -> list[int]:
    """Sizes of a tensor, -1 where free."""
    dimensions = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") else -1 for dim in dimensions]
