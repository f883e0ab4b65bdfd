"""The barcode reader as a small network: convolutions, a linear layer, softmax, best class.

It reads what `barcode.draw_barcode` draws, and has what a real reader's graph has
(products with weights, a head behind them), so conversions and engine builds can be
tested on it in a fraction of a second.
"""

from pathlib import Path

import numpy as np
import onnx
from barcode import STEP, barcode_card
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from crnn_runtime import ModelCard
from crnn_runtime.model.card import METADATA_KEY

CHANNELS = 32
SHARPNESS = 300.0


def tiny_card(**changes: object) -> ModelCard:
    """The card of the tiny reader."""
    return barcode_card(arch="tiny", head="greedy", **changes)


def tiny_model(card: ModelCard | None = None, opset: int = 18) -> onnx.ModelProto:
    """A fresh copy of the model, to be spoilt at will."""
    card = card or tiny_card()
    levels = 1 - np.arange(card.num_classes, dtype=np.float32) * STEP / 255
    # -(x - level)^2 without x^2, which all classes share, is linear in x.
    classifier = np.tile(2 * SHARPNESS * levels / CHANNELS, (CHANNELS, 1))
    constants: dict[str, NDArray[np.generic]] = {
        "w0": np.full((CHANNELS, 1, 4, 4), 1 / 16, np.float32),
        "b0": np.zeros(CHANNELS, np.float32),
        "w1": np.full((CHANNELS, CHANNELS, 4, 2), 1 / (8 * CHANNELS), np.float32),
        "b1": np.zeros(CHANNELS, np.float32),
        "w2": classifier.astype(np.float32),
        "b2": -SHARPNESS * levels**2,
        "height": np.array([2]),
        "classes": np.array([2]),
    }
    nodes = [
        helper.make_node("Conv", ["images", "w0", "b0"], ["c0"], strides=[4, 4], name="first"),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1", "b1"], ["c1"], strides=[4, 2], name="second"),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("ReduceMean", ["r1", "height"], ["mean"], keepdims=0),
        helper.make_node("Transpose", ["mean"], ["steps"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["steps", "w2"], ["product"], name="classifier"),
        helper.make_node("Add", ["product", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["all_probs"], axis=-1),
        helper.make_node("ReduceMax", ["all_probs", "classes"], ["probs"], keepdims=0),
        helper.make_node("ArgMax", ["all_probs"], ["ids"], axis=-1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, 32, "W"])],
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", "T"]),
            helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["N", "T"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    return model


def write_tiny_reader(path: Path, card: ModelCard | None = None) -> Path:
    """Write the reader as an ONNX file."""
    onnx.save(tiny_model(card), path)
    return path
