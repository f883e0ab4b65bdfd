"""Classes counted in a graph's own weights, where its head does not show them."""

from pathlib import Path

import onnx
import pytest
from barcode import ALPHABET, draw_barcode
from onnx import helper, numpy_helper
from refusals import refused
from tiny_reader import tiny_card, tiny_model

from crnn_runtime import Alphabet, ModelError, Recognizer
from crnn_runtime.model.card import METADATA_KEY
from crnn_runtime.model.classifier import classifier_sizes
from crnn_runtime.readers import reader_names, reader_path


def write(path: Path, alphabet: str, model: onnx.ModelProto | None = None) -> Path:
    """The tiny reader, whose head gives the best class alone, with the card of some alphabet."""
    model = model or tiny_model()
    card = tiny_card().replace(alphabet=Alphabet(alphabet))
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("alphabet", ["012345678", "0123456789a", "01"])
def test_a_card_of_other_classes_is_refused(tmp_path: Path, alphabet: str) -> None:
    path = write(tmp_path / "x.onnx", alphabet)
    with refused("x.onnx", len(alphabet) + 1, kind=ModelError):
        Recognizer(path)


def test_its_own_card_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "x.onnx", "".join(ALPHABET))
    assert Recognizer(path).read([draw_barcode("123")])[0].text == "123"


def test_the_weights_are_found_behind_what_unfolds_them(tmp_path: Path) -> None:
    """As int8 files have them, and others a transposed copy."""
    model = tiny_model()
    (stored,) = (tensor for tensor in model.graph.initializer if tensor.name == "w2")
    turned = numpy_helper.to_array(stored).T.copy()
    stored.CopyFrom(numpy_helper.from_array(turned, "turned"))
    unfold = helper.make_node("Transpose", ["turned"], ["w2"], perm=[1, 0])
    nodes = [unfold, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert classifier_sizes(write(tmp_path / "x.onnx", "".join(ALPHABET), model)) == (11, 32)
    with refused("11", kind=ModelError):
        Recognizer(write(tmp_path / "x.onnx", "0123456789abc", model))


def test_a_graph_without_stored_weights_says_nothing(tmp_path: Path) -> None:
    model = tiny_model()
    nodes = [node for node in model.graph.node if node.op_type not in ("Conv", "MatMul")]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert classifier_sizes(write(tmp_path / "x.onnx", "01", model)) == ()


@pytest.mark.parametrize("name", reader_names())
def test_shipped_readers_have_the_classes_of_their_cards(name: str) -> None:
    with Recognizer(name) as recognizer:
        assert recognizer.card.num_classes in classifier_sizes(reader_path(name))
