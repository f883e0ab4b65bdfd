"""Model files that cannot be used, each refused in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from barcode import barcode_card, write_barcode_reader
from onnx import TensorProto, helper
from tiny_reader import write_tiny_reader

from crnn_runtime import Alphabet, CrnnError, Decoding, ModelError, Recognizer
from crnn_runtime.backends import open_backend
from crnn_runtime.backends.onnx_runtime import OnnxRuntimeBackend
from crnn_runtime.model.card import METADATA_KEY


def write_classifier(path: Path) -> None:
    """An image classifier: another model family, with a stolen card."""
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["pixels"], ["scores"])],
        "classifier",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3, 1, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: barcode_card(head="greedy").to_json()})
    onnx.save(model, path)


def with_card(text: str) -> Callable[[Path], object]:
    return lambda path: write_barcode_reader(path, metadata={METADATA_KEY: text})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(b"not an onnx file" * 99), "ONNX"),
        (lambda path: write_barcode_reader(path, metadata={}), "crnn-export"),
        (with_card("{}"), "format 1"),
        (
            with_card(barcode_card().to_json().replace('"0123456789"', '"012345678"')),
            "11 .*10",
        ),
        (with_card(barcode_card(head="greedy").to_json()), "greedy"),
        (with_card(barcode_card(height=48).to_json()), "1 channels × 32 .* says 1 × 48"),
        (write_classifier, "outputs"),
    ],
)  # fmt: skip
def test_onnx_files_that_are_no_readers(
    tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "model.onnx"
    write(path)
    with pytest.raises(ModelError, match=message) as caught:
        open_backend(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_graph_with_other_classes_than_its_card(tmp_path: Path) -> None:
    path = write_barcode_reader(tmp_path / "model.onnx")
    model = onnx.load(path)
    card = barcode_card(alphabet=Alphabet("012"))
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"11 .*4"):
        open_backend(path)


def test_the_callers_floating_point_mode_is_left_alone(tmp_path: Path) -> None:
    with open_backend(write_barcode_reader(tmp_path / "model.onnx")) as backend:
        backend.infer(np.zeros((1, 1, 32, 64), np.float32))
    assert np.float32(1e-40) * np.float32(0.5) != 0  # denormals still exist


def test_a_closed_model_says_so_and_closing_twice_does_nothing(tmp_path: Path) -> None:
    backend = open_backend(write_tiny_reader(tmp_path / "model.onnx"))
    backend.infer(np.zeros((1, 1, 32, 64), np.float32))
    backend.close()
    backend.close()
    with pytest.raises(ModelError):
        backend.infer(np.zeros((1, 1, 32, 64), np.float32))


def test_a_recognizer_that_cannot_be_made_closes_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[OnnxRuntimeBackend] = []

    def close(self: OnnxRuntimeBackend) -> None:
        closed.append(self)

    monkeypatch.setattr(OnnxRuntimeBackend, "close", close)
    with pytest.raises(CrnnError):
        Recognizer(
            write_tiny_reader(tmp_path / "model.onnx"),
            decoder=Decoding(lexicon=tmp_path / "gone.txt"),
        )
    assert len(closed) == 1
