"""float32 graph → the classifier's product in int8, all else float32: for CPUs.

With thousands of classes the classifier is a third of a small reader's time and most
of its file, and the one product that CPUs gain on in int8: quantised convolutions,
depthwise ones above all, are slower there than float32 ones.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray

from crnn_export.precision.fp16 import classifier
from crnn_export.precision.int8 import calibration_reader, with_node_names, without_advice
from crnn_runtime.model.card import ModelCard


def to_int8_classifier(
    model: onnx.ModelProto, card: ModelCard, lines: Sequence[NDArray[np.uint8]]
) -> onnx.ModelProto:
    """Quantise the classifier's product.

    Weights get one scale per class; the features one scale, from their extremes over
    ``lines``. It is a constant: a scale taken from each batch would let a line's
    reading depend on its neighbours.

    Args:
        model: float32.
        card: its preprocessing.
        lines: real lines (H, w, C).
    """
    from onnxruntime.quantization import QuantType, quantize_static  # noqa: PLC0415 - slow

    model = with_node_names(model)
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        with without_advice():
            quantize_static(
                source,
                target,
                calibration_reader(card, lines),
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=[classifier(model).name],
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "QuantizeBias": False,
                    "MatMulConstBOnly": True,
                    "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm", "Conv"],
                },
            )
        quantised: onnx.ModelProto = onnx.load(target)
    return quantised
