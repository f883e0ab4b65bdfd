"""float32 graph → float16 weights and arithmetic, with float32 inputs and outputs."""

import warnings
from collections import deque
from collections.abc import Callable

import onnx
from onnx import TensorProto, helper

from crnn_runtime.errors import ModelError

_LEAST, _MOST = 2.0**-24, 65504.0
"""Range of float16; values beyond are clipped."""
_PRODUCTS = ("MatMul", "Gemm", "Conv")


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert the network up to its logits; what follows stays in float32.

    Raises:
        ModelError: the graph has no classifier to cut behind.
    """
    from onnxconverter_common import float16  # noqa: PLC0415 - slow to import

    def convert(body: onnx.ModelProto) -> onnx.ModelProto:
        with warnings.catch_warnings():  # what clipping costs is measured, see `convert_precision`
            warnings.simplefilter("ignore", UserWarning)
            half: onnx.ModelProto = float16.convert_float_to_float16(
                body, keep_io_types=True, min_positive_val=_LEAST, max_finite_val=_MOST
            )
        return half

    return convert_body(model, convert)


def convert_body(
    model: onnx.ModelProto, convert: Callable[[onnx.ModelProto], onnx.ModelProto]
) -> onnx.ModelProto:
    """Convert the network up to its logits and put the float32 head behind it again.

    The softmax sums thousands of small numbers, and the arg-max of rounded
    probabilities would tie, so the head works on logits cast back to float32.

    Args:
        model: a whole graph.
        convert: of a graph from float32 images to float32 logits, names kept.

    Raises:
        ModelError: the graph has no classifier to cut behind.
    """
    body, tail = _split(model)
    reduced = convert(body)
    merged = onnx.ModelProto()
    merged.CopyFrom(model)
    del merged.opset_import[:]
    merged.opset_import.extend(reduced.opset_import)
    merged.ir_version = max(model.ir_version, reduced.ir_version)
    del merged.graph.node[:], merged.graph.initializer[:], merged.graph.value_info[:]
    used = {name for node in tail for name in node.input}
    shared = {tensor.name for tensor in reduced.graph.initializer}
    merged.graph.initializer.extend(reduced.graph.initializer)
    for tensor in model.graph.initializer:
        if tensor.name in used:
            # The body may hold a reduced copy under the same name.
            renamed = onnx.TensorProto()
            renamed.CopyFrom(tensor)
            if tensor.name in shared:
                renamed.name = tensor.name + "_head"
                _rename(tail, tensor.name, renamed.name)
            merged.graph.initializer.append(renamed)
    merged.graph.node.extend(reduced.graph.node)
    merged.graph.node.extend(tail)
    onnx.checker.check_model(merged, full_check=True)
    return merged


def classifier(model: onnx.ModelProto) -> onnx.NodeProto:
    """The last matrix product: the linear layer that makes the logits.

    Raises:
        ModelError: there is none.
    """
    products = [node for node in model.graph.node if node.op_type in _PRODUCTS]
    if not products:
        raise ModelError("the graph has no linear layer or convolution, so it is not a line reader")
    last: onnx.NodeProto = products[-1]
    return last


def logits_name(model: onnx.ModelProto) -> str:
    """The tensor of the logits: the classifier's output, behind its bias."""
    output = classifier(model).output[0]
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Add" and output in node.input:
            other = node.input[1 - list(node.input).index(output)]
            if other in constants:
                return str(node.output[0])
    return str(output)


def _split(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[onnx.NodeProto]]:
    """A model that ends in the logits, and the nodes behind them."""
    logits = logits_name(model)
    makers = {name: node for node in model.graph.node for name in node.output}
    needed: set[str] = set()
    queue = deque([logits])
    while queue:
        maker = makers.get(queue.popleft())
        if maker is not None and maker.output[0] not in needed:
            needed.add(maker.output[0])
            queue.extend(maker.input)
    inside = [node for node in model.graph.node if node.output[0] in needed]
    tail = [node for node in model.graph.node if node.output[0] not in needed]
    body = onnx.ModelProto()
    body.CopyFrom(model)
    del body.graph.node[:], body.graph.output[:], body.graph.initializer[:]
    body.graph.node.extend(inside)
    used = {name for node in inside for name in node.input}
    body.graph.initializer.extend(t for t in model.graph.initializer if t.name in used)
    shape = ("N", "T", "C")
    body.graph.output.append(helper.make_tensor_value_info(logits, TensorProto.FLOAT, shape))
    return body, tail


def _rename(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
