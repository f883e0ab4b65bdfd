"""float32 graph → the classifier's product in int8, all else float32: for CPUs.

With thousands of classes the classifier is a third of a small reader's time and most
of its file, and the one product that CPUs gain on in int8: quantised convolutions,
depthwise ones above all, are slower there than float32 ones.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from crnn_export.precision.fp16 import classifier
from crnn_export.precision.int8 import with_int8_products, with_node_names
from crnn_runtime.model.card import ModelCard


def to_int8_classifier(
    model: onnx.ModelProto, card: ModelCard, lines: Sequence[NDArray[np.uint8]]
) -> onnx.ModelProto:
    """Quantise the classifier's product.

    Weights get one scale per class, and 7 bits: CPUs without VNNI sum two products in
    16 bits, which overflow if both factors have 8, and the file would read differently
    there. The features get one scale, from their extremes over ``lines``. It is a
    constant: a scale taken from each batch would let a line's reading depend on its
    neighbours.

    Args:
        model: float32.
        card: its preprocessing.
        lines: real lines (H, w, C).
    """
    model = with_node_names(model)
    return with_int8_products(
        model, card, lines, reduce_range=True, nodes_to_quantize=[classifier(model).name]
    )
