"""The barcode reader with other people's habits: a graph that crnn-export did not write."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from barcode import ALPHABET, STEP, STRIDE, logits_nodes
from onnx import TensorProto, helper, numpy_helper

CLASSES = len(ALPHABET) + 1
FIELDS = {
    "alphabet": "0123456789",
    "color": "gray",
    "mean": [0.0],
    "std": [1.0],
    "time_origin": (STRIDE - 1) / 2,
}


def write_foreign_reader(
    path: Path,
    *,
    layout: str = "nchw",
    order: str = "ntc",
    gives: str = "log-probs",
    blank: int = 0,
    size: Sequence[int | str] = ("n", 1, 32, "w"),
    metadata: dict[str, str] | None = None,
) -> Path:
    """The barcode reader with another interface; ``size`` is of (N, C, H, W)."""
    levels = 1 - np.arange(CLASSES, dtype=np.float32) * STEP / 255
    levels = np.insert(levels[1:], blank, levels[0])
    constants = {
        "levels": levels.reshape(1, 1, -1),
        "sharpness": np.array(-400, np.float32),
        "one": np.array([1]),
    }
    last = {"logits": "Identity", "probs": "Softmax", "log-probs": "LogSoftmax"}[gives]
    axis = {} if gives == "logits" else {"axis": 2}
    nodes = [
        helper.make_node("Transpose", ["x"], ["nchw"], perm=[layout.index(a) for a in "nchw"]),
        *logits_nodes("nchw"),
        helper.make_node(last, ["logits"], ["ntc"], **axis),
        helper.make_node("Transpose", ["ntc"], ["y"], perm=["ntc".index(a) for a in order]),
    ]
    out = dict(zip("ntc", ("n", "t", CLASSES), strict=True))
    named = dict(zip("nchw", size, strict=True))
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [named[a] for a in layout])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [out[a] for a in order])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def write_card(path: Path, **fields: object) -> Path:
    path.write_text(json.dumps({**FIELDS, **fields}), encoding="utf-8")
    return path
