"""Graphs that crnn-export did not write: barcode readers with other people's habits."""

import json
from pathlib import Path

import numpy as np
import pytest
from barcode import STRIDE, barcode_card, draw_barcode, write_barcode_reader
from click.testing import CliRunner
from foreign_reader import CLASSES, FIELDS, write_card, write_foreign_reader
from hypothesis import given
from hypothesis import strategies as st
from refusals import assert_usage_error, refused

from crnn_runtime import Alphabet, ModelError, Recognizer
from crnn_runtime.backends.onnx_foreign import check_values, log_probs
from crnn_runtime.cli.infer import main
from crnn_runtime.model.foreign import Graph
from crnn_runtime.picture.preprocess import padded_width, to_input


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("order", ["ntc", "tnc", "nct"])
@pytest.mark.parametrize("gives", ["log-probs", "probs", "logits"])
@pytest.mark.parametrize("blank", [0, 4, CLASSES - 1])
def test_every_interface_reads_the_same(
    tmp_path: Path, layout: str, order: str, gives: str, blank: int
) -> None:
    model = write_foreign_reader(
        tmp_path / "x.onnx", layout=layout, order=order, gives=gives, blank=blank
    )
    graph = {"layout": layout, "order": order, "gives": gives}
    card = write_card(tmp_path / "card.json", blank=blank, graph=graph)
    own = Recognizer(write_barcode_reader(tmp_path / "own.onnx"), threads=1)
    images = [draw_barcode(text) for text in ("0011223", "", "9876543210" * 4, "7")]
    with Recognizer(model, threads=1, batch_size=3, card=card) as foreign:
        assert foreign.card.time_stride == STRIDE  # found by running it
        for line, expected in zip(foreign.read(images), own.read(images), strict=True):
            assert line.text == expected.text
            assert line.raw == expected.raw
            assert line.confidence == pytest.approx(expected.confidence, abs=1e-5)
            assert [c.x0 for c in line.chars] == [c.x0 for c in expected.chars]


@given(
    scores=st.lists(st.floats(-30, 30, width=32), min_size=5, max_size=5),
    blank=st.integers(0, 4),
)
def test_what_a_graph_gives_becomes_log_probabilities(scores: list[float], blank: int) -> None:
    logits = np.array(scores, np.float32).reshape(1, 1, 5)
    given_logits = logits.copy()
    expected = np.log(np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum())
    order = [blank, *(n for n in range(5) if n != blank)]
    found = log_probs(Graph(gives="logits"), logits, blank)
    np.testing.assert_allclose(found, expected[:, :, order], atol=1e-4)
    np.testing.assert_array_equal(logits, given_logits)  # the library's memory is not written to
    probs = np.exp(expected).astype(np.float32)
    found = log_probs(Graph(gives="probs"), probs, blank)
    np.testing.assert_allclose(found, expected[:, :, order], atol=1e-4)


def test_a_probability_of_zero_stays_finite() -> None:
    found = log_probs(Graph(gives="probs"), np.array([[[0, 1]]], np.float32), 0)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("batch", [1, 3])
def test_a_graph_that_insists_on_its_sizes(tmp_path: Path, batch: int) -> None:
    model = write_foreign_reader(tmp_path / "x.onnx", size=(batch, 1, 32, 160))
    card = write_card(tmp_path / "card.json", min_width=160, max_width=160)
    texts = ["012", "34567", "8", "90", "1234567", "456", "76543"]
    with Recognizer(model, threads=1, card=card) as recognizer:
        lines = recognizer.read([draw_barcode(text) for text in texts])
        assert [line.text for line in lines] == texts
        (long,) = recognizer.read([draw_barcode("0123456789" * 3)])
        assert long.pieces > 1
    with pytest.raises(ModelError, match=r'"width": 160'):
        Recognizer(model, card=write_card(tmp_path / "card.json"))


def test_ppocr_models_need_no_card(tmp_path: Path) -> None:
    # A dictionary of nine entries and the space that is left out of it.
    metadata = {"character": "\n".join("012345678")}
    model = write_foreign_reader(
        tmp_path / "rec.onnx", gives="probs", size=("n", 3, 48, "w"), metadata=metadata
    )
    with Recognizer(model, threads=1) as recognizer:
        card = recognizer.card
        assert (card.height, card.color, card.mean, card.std) == (48, "bgr", (0.5,) * 3, (0.5,) * 3)
        assert (card.min_width, card.shrink, card.blank) == (320, "linear", 0)
        assert card.alphabet == Alphabet("012345678 ")
        assert padded_width(card, 40) == 320
        # Half of the barcode's steps, because pixels become -1..1 instead of 0..1.
        # Codes 1, 6 and 10, the space, which is also what the padding's first step shows.
        levels = [255, 245, 255, 195, 195, 255, 155]
        image = np.tile(np.repeat(np.array(levels, np.uint8), STRIDE), (48, 1))
        assert recognizer.read([image])[0].text == "05 "


def test_an_alphabet_without_room_for_its_classes(tmp_path: Path) -> None:
    model = write_foreign_reader(
        tmp_path / "rec.onnx", size=("n", 3, 48, "w"), metadata={"character": "0\n1\n2"}
    )
    with pytest.raises(ModelError, match=r"4 .*11"):
        Recognizer(model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"alphabet": "012"}, "4 .*11"),
        ({"height": 48}, "32 .*height.*48"),
        ({"color": "rgb", "mean": [0] * 3, "std": [1] * 3}, "1 channels.*3"),
        ({"blank": 11}, "blank 11 .*0..10"),
        ({"graph": {"gives": "votes"}}, "'votes' .*log-probs, probs, logits"),
        ({"graph": {"colour": 1}}, "colour"),
        ({"graph": {"input": "images"}}, "'images'.* x"),
        ({"graph": {"output": 3}}, "graph.output"),
        ({"hieght": 32}, "hieght"),
        ({"alphabet": 7}, "alphabet"),
        ({"alphabet_file": "keys.txt"}, "alphabet_file"),
        ({"pad": "blue"}, "'blue' .*mean, black, white, edge"),
        ({"min_width": 4096}, "min_width 4096 .*1..2048"),
    ],
)
def test_cards_that_do_not_fit(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    model = write_foreign_reader(tmp_path / "x.onnx")
    with pytest.raises(ModelError, match=message) as caught:
        Recognizer(model, card=write_card(tmp_path / "card.json", **fields))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("gives", "said"),
    [(a, b) for a in ("logits", "probs", "log-probs") for b in ("logits", "probs", "log-probs")],
)
@pytest.mark.parametrize("fields", [{}, {"time_stride": STRIDE}])
def test_values_that_are_not_what_the_card_says(
    tmp_path: Path, gives: str, said: str, fields: dict[str, object]
) -> None:
    model = write_foreign_reader(tmp_path / "x.onnx", gives=gives)
    card = write_card(tmp_path / "card.json", graph={"gives": said}, **fields)
    if gives == said or (gives, said) == ("log-probs", "logits"):
        assert Recognizer(model, card=card).read([draw_barcode("12")])[0].text == "12"
        return
    with pytest.raises(ModelError, match=f'"{said}".* {gives}'):
        Recognizer(model, card=card)
    with pytest.raises(ModelError, match=f'"{gives}"'):
        Recognizer(model, card=barcode_card(graph=Graph(gives=said)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_numbers(value: float) -> None:
    for gives in ("logits", "probs", "log-probs"):
        with refused(kind=ModelError):
            check_values(Graph(gives=gives), np.array([[[0.0, value]]], np.float32))
    check_values(Graph(), np.array([[[0.0, -np.inf]]], np.float32))


def test_an_alphabet_in_a_file_beside_the_card(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("\n".join("0123456789"), encoding="utf-8")
    fields = {name: value for name, value in FIELDS.items() if name != "alphabet"}
    card = tmp_path / "card.json"
    card.write_text(json.dumps({**fields, "alphabet_file": "keys.txt"}), encoding="utf-8")
    model = write_foreign_reader(tmp_path / "x.onnx")
    assert Recognizer(model, card=card).read([draw_barcode("123")])[0].text == "123"
    card.write_text(json.dumps({**fields, "alphabet_file": "none.txt"}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"card.json: .*none.txt"):
        Recognizer(model, card=card)


def test_a_file_with_a_card_takes_no_other(tmp_path: Path) -> None:
    model = write_barcode_reader(tmp_path / "own.onnx")
    with refused("own.onnx", "card", kind=ModelError):
        Recognizer(model, card=barcode_card())


def test_a_card_given_as_an_object(tmp_path: Path) -> None:
    model = write_foreign_reader(tmp_path / "x.onnx", gives="probs")
    card = barcode_card(graph=Graph(gives="probs"))
    assert Recognizer(model, card=card).read([draw_barcode("345")])[0].text == "345"


@pytest.mark.parametrize(("pad", "value"), [("mean", 0.0), ("black", -1.0), ("white", 1.0)])
def test_the_colour_of_the_padding(pad: str, value: float) -> None:
    card = barcode_card(pad=pad, mean=(0.5,), std=(0.5,))
    batch = to_input([np.full((32, 40, 1), 51, np.uint8)], card)
    np.testing.assert_allclose(batch[0, 0, :, 40:], value, atol=1e-6)


def test_padding_that_repeats_the_edge() -> None:
    line = np.random.default_rng(0).integers(0, 256, (32, 40, 1), np.uint8)
    batch = to_input([line], barcode_card(pad="edge"))
    np.testing.assert_array_equal(batch[0, 0, :, 40:], np.tile(batch[0, 0, :, 39:40], (1, 24)))


def test_the_command_takes_a_card(tmp_path: Path) -> None:
    import cv2

    model = write_foreign_reader(tmp_path / "x.onnx", order="tnc", gives="logits")
    card = write_card(tmp_path / "card.json", graph={"order": "tnc", "gives": "logits"})
    cv2.imwrite(str(tmp_path / "a.png"), draw_barcode("4711"))
    arguments = [str(model), str(tmp_path / "a.png"), "--card", str(card)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("\t4711\n")
    result = CliRunner().invoke(main, [*arguments[:-1], str(tmp_path / "none.json")])
    assert_usage_error(result, "none.json")
