"""A reader whose answers are known: grey bars instead of characters.

Every eight columns of a line are one time step, and their grey level is the
class: white is the blank, character i of the alphabet is level
``255 - (i + 1) * STEP``. The ONNX file is a real one, built by hand, so tests of
the runtime need neither training nor PyTorch.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from crnn_runtime import Alphabet, ModelCard
from crnn_runtime.model.card import METADATA_KEY

STRIDE = 8
STEP = 20
ALPHABET = Alphabet("0123456789")


def barcode_card(**changes: object) -> ModelCard:
    """The card of the barcode reader."""
    card = ModelCard(
        arch="barcode",
        alphabet=ALPHABET,
        color="gray",
        mean=(0.0,),
        std=(1.0,),
        time_stride=STRIDE,
        time_origin=(STRIDE - 1) / 2,
    )
    return card.replace(**changes)


def draw_barcode(text: str, *, height: int = 32) -> NDArray[np.uint8]:
    """(height, W): one step per character, each followed by a step of blank."""
    levels = []
    for character in text:
        levels += [255 - STEP * ALPHABET.codes[character], 255]
    row = np.repeat(np.array([255, *levels], np.uint8), STRIDE)
    return np.tile(row, (height, 1))


def write_labelled(folder: Path, texts: Sequence[str], suffix: str = ".png") -> Path:
    """A new folder with a picture of each text, ``0.png`` and so on, and labels.tsv."""
    folder.mkdir()
    for number, text in enumerate(texts):
        cv2.imwrite(str(folder / f"{number}{suffix}"), draw_barcode(text))
    rows = [f"{number}{suffix}\t{text}\n" for number, text in enumerate(texts)]
    (folder / "labels.tsv").write_text("".join(rows))
    return folder


def logits_nodes(images: str) -> list[onnx.NodeProto]:
    """(N, C, H, W) → ``logits`` (N, T, K), with constants levels (1, 1, K), sharpness and one."""
    return [
        helper.make_node("ReduceMean", [images], ["rows"], axes=[1, 2], keepdims=0),
        helper.make_node("Unsqueeze", ["rows", "one"], ["row"]),
        helper.make_node("AveragePool", ["row"], ["bars"], kernel_shape=[STRIDE], strides=[STRIDE]),
        helper.make_node("Transpose", ["bars"], ["column"], perm=[0, 2, 1]),
        helper.make_node("Sub", ["column", "levels"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["distance"]),
        helper.make_node("Mul", ["distance", "sharpness"], ["logits"]),
    ]


def write_barcode_reader(
    path: Path, card: ModelCard | None = None, metadata: dict[str, str] | None = None
) -> Path:
    """Write the reader as an ONNX file with the head that its card names."""
    card = card or barcode_card()
    levels = np.arange(card.num_classes, dtype=np.float32) * -STEP / 255 + 1
    constants = {"levels": levels.reshape(1, 1, -1), "sharpness": np.array(-400, np.float32)}
    nodes = [
        *logits_nodes("images"),
        helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=2),
        helper.make_node("ArgMax", ["log_probs"], ["ids"], axis=2, keepdims=0),
        helper.make_node("ReduceMax", ["log_probs"], ["best"], axes=[2], keepdims=0),
        helper.make_node("Exp", ["best"], ["probs"]),
        helper.make_node("TopK", ["log_probs", "two"], ["topk_log_probs", "topk_ids"], axis=2),
    ]
    outputs = {
        "greedy": [("ids", TensorProto.INT64, 2), ("probs", TensorProto.FLOAT, 2)],
        "topk": [("topk_ids", TensorProto.INT64, 3), ("topk_log_probs", TensorProto.FLOAT, 3)],
        "log-probs": [("log_probs", TensorProto.FLOAT, 3)],
    }[card.head]
    last = card.num_classes if card.head == "log-probs" else "k"
    graph = helper.make_graph(
        nodes,
        "barcode",
        [
            helper.make_tensor_value_info(
                "images", TensorProto.FLOAT, ["n", card.channels, card.height, "w"]
            )
        ],
        [
            helper.make_tensor_value_info(name, kind, ["n", "t", last][:rank])
            for name, kind, rank in outputs
        ],
        initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()]
        + [
            numpy_helper.from_array(np.array([1], np.int64), "one"),
            numpy_helper.from_array(np.array([2], np.int64), "two"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if metadata is None:
        metadata = {METADATA_KEY: card.to_json()}
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path
