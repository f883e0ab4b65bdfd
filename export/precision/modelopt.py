"""bf16 and fp8 graphs, made by NVIDIA's Model Optimizer (the extra ``modelopt``)."""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from crnn_export.precision.fp16 import convert_body
from crnn_export.precision.int8 import calibration_reader, end_names, with_node_names
from crnn_runtime.errors import MissingDependencyError, install_command
from crnn_runtime.model.card import ModelCard


def to_bf16(model: onnx.ModelProto) -> onnx.ModelProto:
    """bfloat16 up to the logits: the range of float32 with 8 bits of mantissa.

    Raises:
        MissingDependencyError: Model Optimizer is not installed.
    """
    autocast = _module("modelopt.onnx.autocast", "bf16")

    def convert(body: onnx.ModelProto) -> onnx.ModelProto:
        reduced: onnx.ModelProto = autocast.convert_to_f16(
            body, low_precision_type="bf16", keep_io_types=True
        )
        return reduced

    return convert_body(model, convert)


def to_fp8(
    model: onnx.ModelProto,
    card: ModelCard,
    lines: Sequence[NDArray[np.uint8]],
    *,
    quantise_ends: bool = False,
) -> onnx.ModelProto:
    """8-bit floats (E4M3) in the products, float16 between them; arguments as for int8.

    Raises:
        MissingDependencyError: Model Optimizer does not load.
    """
    quantization = _module("modelopt.onnx.quantization", "fp8")
    model = with_node_names(model)
    excluded = [] if quantise_ends else end_names(model)

    def convert(body: onnx.ModelProto) -> onnx.ModelProto:
        with TemporaryDirectory() as folder:
            source, target = Path(folder, "float.onnx"), Path(folder, "fp8.onnx")
            onnx.save(body, source)
            quantization.quantize(
                str(source),
                quantize_mode="fp8",
                calibration_data_reader=calibration_reader(card, lines),
                calibration_method="max",
                calibration_eps=["cpu"],
                nodes_to_exclude=excluded,
                high_precision_dtype="fp16",
                output_path=str(target),
                log_level="CRITICAL",
            )
            return onnx.load(target)

    return convert_body(model, convert)


def emulate_bf16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph that rounds every tensor which is bfloat16 in ``model``.

    ONNX Runtime has no bfloat16 convolution on the CPU. A GPU multiplies bfloat16
    numbers exactly, sums in float32 and rounds the result, which is what this does.
    """
    copy = onnx.shape_inference.infer_shapes(model)
    graph = copy.graph
    rounded = {
        value.name
        for value in graph.value_info
        if value.type.tensor_type.elem_type == TensorProto.BFLOAT16
    }
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.BFLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes = []
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.BFLOAT16:
                attribute.i = TensorProto.FLOAT
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in rounded:
                node.output[index] = f"{name}_exact"
                nodes += [
                    helper.make_node("Cast", [f"{name}_exact"], [f"{name}_bf16"], to=16),
                    helper.make_node("Cast", [f"{name}_bf16"], [name], to=1),
                ]
    del graph.value_info[:], graph.node[:]
    graph.node.extend(nodes)
    return copy


def require_optimizer(precision: str) -> None:
    """Refuse a precision where Model Optimizer is not installed; it is not imported.

    Raises:
        MissingDependencyError: it is not.
    """
    if importlib.util.find_spec("modelopt") is None:
        raise _missing(precision, "No module named 'modelopt'")


def _module(name: str, precision: str) -> Any:  # noqa: ANN401
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(precision, str(error)) from error


def _missing(precision: str, reason: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"precision {precision} needs NVIDIA's Model Optimizer ({reason}): "
        f"{install_command('modelopt')}"
    )
