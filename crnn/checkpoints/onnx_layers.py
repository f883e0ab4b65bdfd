"""The layers of an ONNX graph: what has weights, in the order in which it computes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn.checkpoints.layers import Array, Kind, Layer
from crnn_runtime.errors import MissingDependencyError, ModelError
from crnn_runtime.model.onnx_bytes import self_contained

try:
    import onnx
    from onnx.reference import ReferenceEvaluator
except ImportError as error:  # it is there in training installations alone
    raise MissingDependencyError.of_extra("onnx", "train") from error

# What exporters and compressors put between a stored tensor and the layer that uses it.
_FOLDED = frozenset(
    (
        *("Add", "Cast", "Constant", "DequantizeLinear", "Div", "Identity", "Mul"),
        *("Reshape", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
    )
)
_MAX_FOLDED = 1 << 28
"""Numbers that a tensor may have: a small file must not unfold to a large one."""


@dataclass(frozen=True)
class OnnxGraph:
    """Everything that a file says of itself.

    Attributes:
        layers: all with constant weights, in the graph's order. Tensors may be initialisers,
            Constant nodes, or numbers of few bits that the graph unfolds itself.
        metadata: its ``metadata_props``.
        height: of its lines in pixels, None if it takes any.
        width: the same.
        axes: of its first output, None if it does not say.
        last: the operation that computes it, what only rearranges aside.
    """

    layers: list[Layer]
    metadata: dict[str, str]
    height: int | None
    width: int | None
    axes: int | None
    last: str


def read_graph(path: Path) -> OnnxGraph:
    """Read an ONNX file.

    Raises:
        ModelError: it cannot be read, or is not ONNX.
    """
    if not path.is_file():
        raise ModelError(f"no checkpoint file {path}")
    try:
        model = onnx.load_from_string(self_contained(path))
    except ModelError:
        raise
    except Exception as error:  # the parser's own kinds
        raise ModelError(f"{path} is no ONNX file, or it is damaged: copy it again") from error
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in stored]
    if not graph.node or not graph.output or not inputs:
        raise ModelError(f"{path} is no ONNX file, or it is damaged: it holds no graph")
    sizes = [dim.dim_value or None for dim in inputs[0].type.tensor_type.shape.dim]
    output = graph.output[0].type.tensor_type
    return OnnxGraph(
        layers=list(_Reader(model).layers()),
        metadata={each.key: each.value for each in model.metadata_props},
        height=sizes[2] if len(sizes) == 4 else None,
        width=sizes[3] if len(sizes) == 4 else None,
        axes=len(output.shape.dim) or None,
        last=_last_operation(graph),
    )


def _last_operation(graph: onnx.GraphProto) -> str:
    made_by = {output: node for node in graph.node for output in node.output}
    name = graph.output[0].name
    while name in made_by:
        node = made_by[name]
        if node.op_type not in ("Identity", "Transpose", "Squeeze", "Reshape", "Cast"):
            return str(node.op_type)
        name = node.input[0]
    return ""


def fold_constants(
    model: onnx.ModelProto,
) -> tuple[dict[str, NDArray[np.generic]], list[onnx.NodeProto]]:
    """Every constant of a graph by name, computed where need be, and the nodes that are left.

    The nodes that exporters and compressors put between a stored tensor and its layer are
    computed: Constant nodes, numbers of few bits that the graph unfolds itself.
    """
    constants: dict[str, NDArray[np.generic]] = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer
    }
    opsets = {each.domain: each.version for each in model.opset_import}
    left = []
    for node in model.graph.node:
        is_constant = node.op_type in _FOLDED and len(node.output) == 1
        if not is_constant or any(name and name not in constants for name in node.input):
            left.append(node)
            continue
        given: dict[str, Any] = {name: constants[name] for name in node.input if name}
        if sum(tensor.size for tensor in given.values()) > _MAX_FOLDED:
            left.append(node)
            continue
        results: Any = ReferenceEvaluator(node, opsets=opsets).run(None, given)
        constants[node.output[0]] = results[0]
    return constants, left


class _Reader:
    """Walks a graph once."""

    def __init__(self, model: onnx.ModelProto) -> None:
        # First all constants: a bias may be unfolded behind the layer that it belongs to.
        self.constants, self.computing = fold_constants(model)
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)

    def layers(self) -> Iterator[Layer]:
        for node in self.computing:
            match node.op_type:
                case "Conv":
                    layer = self._convolution(node)
                case "MatMul" | "Gemm":
                    layer = self._linear(node)
                case "BatchNormalization":
                    layer = self._norm(node)
                case "LayerNormalization":
                    layer = self._layer("scale", node, node.input[1:3])
                case "Mul":
                    layer = self._scale(node)
                case _:
                    layer = None
            if layer is not None:
                yield layer

    def _floats(self, name: str) -> Array | None:
        tensor = self.constants.get(name)
        if tensor is None or not np.issubdtype(tensor.dtype, np.floating):
            return None
        return tensor.astype(np.float32)

    def _layer(self, kind: Kind, node: onnx.NodeProto, names: list[str]) -> Layer | None:
        tensors = {}
        for key, name in zip(
            ("weight", "bias", "running_mean", "running_var"), names, strict=False
        ):
            tensor = self._floats(name) if name else None
            if tensor is None:
                return None
            tensors[key] = tensor
        return Layer(kind, node.output[0], tensors)

    def _convolution(self, node: onnx.NodeProto) -> Layer | None:
        layer = self._layer("convolution", node, node.input[1:])
        return layer and self._with_bias(layer)

    def _linear(self, node: onnx.NodeProto) -> Layer | None:
        layer = self._layer("linear", node, node.input[1:])
        if layer is None or layer.tensors["weight"].ndim != 2:
            return None
        flags = {each.name: each.i for each in node.attribute}
        if not flags.get("transB"):
            layer.tensors["weight"] = np.ascontiguousarray(layer.tensors["weight"].T)
        return self._with_bias(layer)

    def _norm(self, node: onnx.NodeProto) -> Layer | None:
        layer = self._layer("norm", node, node.input[1:])
        if layer is not None:
            epsilon = {each.name: each.f for each in node.attribute}.get("epsilon", 1e-5)
            layer.tensors["running_var"] += np.float32(epsilon - 1e-5)
        return layer

    def _scale(self, node: onnx.NodeProto) -> Layer | None:
        """A factor per channel (or one for all) that an offset of the same shape follows."""
        weight = self._factor(node)
        bias = self._next_offset(node.output[0])
        if weight is None or bias is None or weight.ndim == 0 or weight.shape != bias.shape:
            return None
        return Layer("scale", node.output[0], {"weight": weight, "bias": bias})

    def _factor(self, node: onnx.NodeProto) -> Array | None:
        found = [self._floats(name) for name in node.input]
        return found[0] if found[1] is None else found[1]

    def _with_bias(self, layer: Layer) -> Layer:
        offset = self._next_offset(layer.name)
        if "bias" not in layer.tensors and offset is not None and offset.size == layer.shape[0]:
            layer.tensors["bias"] = offset.reshape(-1)
        return layer

    def _next_offset(self, name: str) -> Array | None:
        """The constant that is added to a value, if that is all that becomes of it."""
        users = self.users.get(name, [])
        if len(users) != 1:
            return None
        if users[0].op_type == "Identity":
            return self._next_offset(users[0].output[0])
        return self._factor(users[0]) if users[0].op_type == "Add" else None
