"""A line reader small enough to build engines of in a fraction of a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from crnn_runtime import Alphabet, ModelCard
from crnn_runtime.card import METADATA_KEY

CLASSES = 12


@pytest.fixture(scope="session")
def card() -> ModelCard:
    return ModelCard(arch="tiny", alphabet=Alphabet("abcdefghijk"), time_stride=4, head="greedy")


def tiny_model(card: ModelCard, opset: int = 20) -> onnx.ModelProto:
    """Two convolutions of stride 2, mean over the height, linear, softmax, best class."""
    random = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        values = random.normal(0, 0.3, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    axis = numpy_helper.from_array(np.array([2]), "axis")
    last = numpy_helper.from_array(np.array([-1]), "last")
    nodes = [
        helper.make_node(
            "Conv", ["images", "w0", "b0"], ["c0"], strides=[2, 2], pads=[1, 1, 1, 1], name="first"
        ),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node(
            "Conv", ["r0", "w1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1], name="second"
        ),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("ReduceMean", ["r1", "axis"], ["mean"], keepdims=0),
        helper.make_node("Transpose", ["mean"], ["steps"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["steps", "w2"], ["product"], name="classifier"),
        helper.make_node("Add", ["product", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["all_probs"], axis=-1),
        helper.make_node("ReduceMax", ["all_probs", "last"], ["probs"], keepdims=0),
        helper.make_node("ArgMax", ["all_probs"], ["ids"], axis=-1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 32, "W"])],
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", "T"]),
            helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["N", "T"]),
        ],
        [
            weight("w0", 16, 3, 3, 3),
            weight("b0", 16),
            weight("w1", 64, 16, 3, 3),
            weight("b1", 64),
            weight("w2", 64, CLASSES),
            weight("b2", CLASSES),
            axis,
            last,
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    return model


@pytest.fixture(scope="session")
def tiny(card: ModelCard) -> Callable[[], onnx.ModelProto]:
    """Makes a fresh copy of the model, to be spoilt at will."""
    return lambda: tiny_model(card)


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    onnx.save(tiny_model(card), path)
    return path
