"""float32 graph → int8 products (QuantizeLinear/DequantizeLinear), float16 between them."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from crnn_export.precision.fp16 import classifier, to_fp16
from crnn_runtime.backends import INPUT_NAME
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.preprocess import to_input

_OPSET_OF_HALF_SCALES = 19
_PRODUCTS = ("Conv", "MatMul", "Gemm")


def to_int8(
    model: onnx.ModelProto,
    card: ModelCard,
    lines: Sequence[NDArray[np.uint8]],
    *,
    quantise_ends: bool = False,
) -> onnx.ModelProto:
    """Quantise convolutions and linear layers for TensorRT.

    Weights get one scale per output channel, activations one per tensor from the
    extremes over ``lines``; both are symmetric, as TensorRT asks. All but the
    products is converted to float16, the head stays in float32.

    Args:
        model: float32.
        card: its preprocessing.
        lines: real lines (H, w, C) to take the ranges of activations from.
        quantise_ends: also the first convolution and the classifier, which are
            otherwise float16: they carry most of the error.
    """
    model = with_node_names(model)
    excluded = [] if quantise_ends else end_names(model)
    quantised = with_int8_products(
        model, card, lines, op_types_to_quantize=list(_PRODUCTS), nodes_to_exclude=excluded
    )
    opset = max(_OPSET_OF_HALF_SCALES, *(entry.version for entry in quantised.opset_import))
    return to_fp16(onnx.version_converter.convert_version(quantised, opset))


def with_int8_products(
    model: onnx.ModelProto,
    card: ModelCard,
    lines: Sequence[NDArray[np.uint8]],
    *,
    reduce_range: bool = False,
    **which: Sequence[str],
) -> onnx.ModelProto:
    """Quantise products to int8: one scale per output channel, one per activation.

    Args:
        model: float32, its nodes named.
        card: its preprocessing.
        lines: real lines (H, w, C) to take the ranges of activations from.
        reduce_range: weights of 7 bits, so that two products together fit in 16 bits.
        which: of the products, see ONNX Runtime's ``quantize_static``.
    """
    from onnxruntime.quantization import QuantType, quantize_static  # noqa: PLC0415 - slow

    with TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        with without_advice():
            quantize_static(
                source,
                target,
                calibration_reader(card, lines),
                per_channel=True,
                reduce_range=reduce_range,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "QuantizeBias": False,  # TensorRT adds the bias in float
                    "MatMulConstBOnly": True,
                    # TensorRT fuses what follows a product if nothing is in between.
                    "OpTypesToExcludeOutputQuantization": list(_PRODUCTS),
                },
                **which,
            )
        return onnx.load(target)


@contextlib.contextmanager
def without_advice() -> Iterator[None]:
    """Silence ONNX Runtime's advice, on the root logger, to infer shapes: they are in the file."""

    def is_other(record: logging.LogRecord) -> bool:
        return "pre-processing" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(is_other)
    try:
        yield
    finally:
        root.removeFilter(is_other)


def end_names(model: onnx.ModelProto) -> list[str]:
    """Names of the first product and of the classifier."""
    first = next(node for node in model.graph.node if node.op_type in _PRODUCTS)
    return [first.name, classifier(model).name]


def with_node_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every node has a name to be excluded by."""
    named = onnx.ModelProto()
    named.CopyFrom(model)
    for index, node in enumerate(named.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    return named


def calibration_reader(card: ModelCard, lines: Sequence[NDArray[np.uint8]]) -> Any:  # noqa: ANN401
    """ONNX Runtime's calibration reader over lines, one at a time at its own width."""
    from onnxruntime.quantization import CalibrationDataReader  # noqa: PLC0415

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._inputs = self._each()

        def _each(self) -> Iterator[dict[str, NDArray[np.float32]]]:
            for line in lines:
                yield {INPUT_NAME: to_input([line], card)}

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._inputs, None)

        def get_first(self) -> dict[str, NDArray[np.float32]]:  # Model Optimizer asks for it
            return next(self._each())

        def rewind(self) -> None:
            self._inputs = self._each()

    return Reader()
