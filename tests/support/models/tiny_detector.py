"""Pages whose lines are known: a text detector and a reader for them, built by hand.

What is dark is text, and a character is a bar whose grey level says which. Both are real
ONNX files. Unlike that of `barcode`, this reader takes lines as they are cut out of pages:
a little larger or smaller, and with bars that begin anywhere.
"""

from pathlib import Path

import numpy as np
import onnx
from barcode import ALPHABET, STEP, STRIDE, barcode_card
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from crnn_runtime.model.card import METADATA_KEY
from crnn_runtime.model.detector_card import DETECTOR_KEY, DetectorCard

_BAR, _GAP = 28, 28  # pixels
_REACH = 33  # pixels within which neighbours grow together


def detector_card() -> DetectorCard:
    """Cuts half way, and grows rectangles by next to nothing."""
    return DetectorCard(
        mean=(0.0,) * 3, std=(1.0,) * 3, threshold=0.5, box_threshold=0.5, unclip=0.02
    )


def write_detector(
    path: Path,
    *,
    channels: int = 1,
    size: int | None = None,
    card: DetectorCard | None = None,
    down: bool = False,
) -> Path:
    """Write the detector.

    Args:
        path: of the file.
        channels: of its map; another number than 1 is no detector.
        size: the only height and width that it takes; None for any.
        card: that it holds; None for `detector_card`.
        down: neighbours below each other grow together, not those beside each other.
    """
    reach = [_REACH, 1] if down else [1, _REACH]
    edges = [each // 2 for each in reach] * 2
    # White is 1, and so is ink; the canvas around the page is 0, which is no text either.
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["one", "grey"], ["ink"]),
        helper.make_node("Sub", ["ink", "faint"], ["strong"]),
        helper.make_node("Mul", ["strong", "steep"], ["steeper"]),
        helper.make_node("Sigmoid", ["steeper"], ["dark"]),
        helper.make_node("Greater", ["grey", "faint"], ["page"]),
        helper.make_node("Cast", ["page"], ["on_page"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["dark", "on_page"], ["text"]),
        helper.make_node(
            "MaxPool", ["text"], ["wide"], kernel_shape=reach, pads=edges,
            strides=[1, 1],
        ),
        helper.make_node("Neg", ["wide"], ["minus"]),
        helper.make_node(
            "MaxPool", ["minus"], ["narrow"], kernel_shape=reach, pads=edges,
            strides=[1, 1],
        ),
        helper.make_node("Neg", ["narrow"], ["one_map"]),
        helper.make_node("Concat", ["one_map"] * channels, ["maps"], axis=1),
    ]  # fmt: skip
    constants = {"one": 1.0, "faint": 0.05, "steep": 200.0}
    sides: list[str | int] = ["h", "w"] if size is None else [size, size]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, *sides])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", channels, *sides])],
        initializer=[
            numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {DETECTOR_KEY: (card or detector_card()).to_json()})
    onnx.save(model, path)
    return path


def write_bar_reader(path: Path) -> Path:
    """Write the reader, with a greedy head."""
    card = barcode_card(head="greedy", pad="white")
    levels = np.arange(card.num_classes, dtype=np.float32) * -STEP / 255 + 1
    weights = np.ones(card.num_classes, np.float32)
    weights[0] = 0.5  # a window that shows a bar and white beside it shows the bar
    constants = {
        "levels": levels.reshape(1, -1, 1),
        "weights": weights.reshape(1, -1, 1),
        "sharpness": np.array(-400, np.float32),
        "top": np.array([14], np.int64),
        "bottom": np.array([18], np.int64),
        "rows": np.array([2], np.int64),
    }
    pool = {"kernel_shape": [STRIDE], "strides": [STRIDE]}
    nodes = [
        helper.make_node("Slice", ["images", "top", "bottom", "rows"], ["middle"]),
        helper.make_node("ReduceMean", ["middle"], ["row"], axes=[2], keepdims=0),
        helper.make_node("Sub", ["row", "levels"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["distance"]),
        helper.make_node("Mul", ["distance", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["columns"], axis=1),
        # The edges of bars have the level of another character, for a pixel or two.
        helper.make_node("Neg", ["columns"], ["minus"]),
        helper.make_node("MaxPool", ["minus"], ["least"], kernel_shape=[5], pads=[2, 2]),
        helper.make_node("Neg", ["least"], ["lasting"]),
        helper.make_node("MaxPool", ["lasting"], ["steps"], **pool),
        helper.make_node("Mul", ["steps", "weights"], ["weighted"]),
        helper.make_node("ArgMax", ["weighted"], ["ids"], axis=1, keepdims=0),
        helper.make_node("ReduceMax", ["weighted"], ["probs"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "bars",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, card.height, "w"])],
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "t"]),
            helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["n", "t"]),
        ],
        initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return path


def draw_page(
    lines: dict[tuple[int, int], str], *, height: int = 400, width: int = 600
) -> NDArray[np.uint8]:
    """(height, width, 3) white, with lines: (x, y) of the upper left corner and the digits."""
    page = np.full((height, width, 3), 255, np.uint8)
    for (x, y), text in lines.items():
        for number, character in enumerate(text):
            left = x + number * (_BAR + _GAP)
            page[y : y + 32, left : left + _BAR] = 255 - STEP * ALPHABET.codes[character]
    return page


def line_width(text: str) -> int:
    """Pixels from the first bar to the last."""
    return len(text) * (_BAR + _GAP) - _GAP
