"""Recognizer on the barcode reader, whose answers are known exactly."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from barcode import STRIDE, barcode_card, draw_barcode, write_barcode_reader
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from crnn_runtime import ImageError, ModelCard, ModelError, Recognizer, pipeline
from crnn_runtime.model.card import HEADS

TEXTS = st.text("0123456789", max_size=60)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return write_barcode_reader(folder / "reader.onnx", barcode_card(head="greedy"))


@pytest.fixture(scope="module")
def recognizer(model: Path) -> Recognizer:
    return Recognizer(model, threads=1, batch_size=4)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_reads_the_same(tmp_path: Path, head: str) -> None:
    path = write_barcode_reader(tmp_path / "reader.onnx", barcode_card(head=head))
    (line,) = Recognizer(path).read([draw_barcode("0011223")])
    assert line.text == "0011223"
    assert line.raw == "-0-0-1-1-2-2-3-"
    assert line.confidence > 0.99


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(TEXTS, max_size=9))
def test_lines_read_alone_and_together_are_equal(recognizer: Recognizer, texts: list[str]) -> None:
    images = [draw_barcode(text) for text in texts]
    together = recognizer.read(images)
    assert [line.text for line in together] == texts
    assert together == [recognizer.read([image])[0] for image in images]


def test_positions_are_in_pixels_of_the_source(recognizer: Recognizer) -> None:
    (line,) = recognizer.read([draw_barcode("52", height=32)])
    assert [(char.char, char.x0, char.x1) for char in line.chars] == [
        ("5", STRIDE, 2 * STRIDE),
        ("2", 3 * STRIDE, 4 * STRIDE),
    ]
    doubled = cv2.resize(draw_barcode("52"), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    (large,) = recognizer.read([doubled])
    assert [(c.x0, c.x1) for c in large.chars] == [(2 * c.x0, 2 * c.x1) for c in line.chars]


def test_an_empty_line_reads_as_nothing(recognizer: Recognizer) -> None:
    (line,) = recognizer.read([draw_barcode("")])
    assert (line.text, line.chars) == ("", ())
    assert line.confidence > 0.99


def test_one_bad_image_spoils_only_itself(recognizer: Recognizer, tmp_path: Path) -> None:
    good = tmp_path / "ü 行.png"
    cv2.imencode(".png", draw_barcode("42"))[1].tofile(good)
    missing = tmp_path / "missing.png"
    images = [good, missing, good.read_bytes(), draw_barcode("7"), b""]
    lines = recognizer.read(images, errors="return")
    assert [line.text for line in lines] == ["42", "", "42", "7", ""]
    assert [line.error is None for line in lines] == [True, False, True, True, False]
    with refused("missing.png", kind=ImageError):
        recognizer.read(images)


def test_a_fixed_width_model_stretches_every_line(tmp_path: Path) -> None:
    text = "31415926"
    width = draw_barcode(text).shape[1]
    card = barcode_card(head="greedy", width=width)
    fixed = Recognizer(write_barcode_reader(tmp_path / "reader.onnx", card))
    wide = cv2.resize(draw_barcode(text), (3 * width, 32), interpolation=cv2.INTER_NEAREST)
    assert fixed.read([wide])[0].text == text


def test_an_alphabet_too_short_for_the_model_is_an_error(tmp_path: Path) -> None:
    # The card is consistent with itself, the graph has more classes than it says.
    path = write_barcode_reader(tmp_path / "reader.onnx", barcode_card(head="greedy"))
    from crnn_runtime import Alphabet
    from crnn_runtime.model.card import METADATA_KEY

    model = onnx.load(path)
    short = barcode_card(head="greedy", alphabet=Alphabet("012"))
    onnx.helper.set_model_props(model, {METADATA_KEY: short.to_json()})
    onnx.save(model, path)
    with refused(10, 4, kind=ModelError):
        Recognizer(path).read([draw_barcode("9")])


@pytest.mark.parametrize("lone", ["line.png", Path("line.png"), b"png", draw_barcode("1")])
def test_one_image_instead_of_a_list_is_refused(recognizer: Recognizer, lone: object) -> None:
    with refused("[image]"):
        recognizer.read(lone)


@pytest.mark.parametrize("option", ["threads", "batch_size"])
def test_counts_must_be_positive(model: Path, option: str) -> None:
    with refused(option, 0):
        Recognizer(model, **{option: 0})


@pytest.mark.parametrize("option", ["threads", "batch_size"])
@pytest.mark.parametrize("value", ["big", "2", 1.5, True])
def test_counts_must_be_whole_numbers(model: Path, option: str, value: object) -> None:
    with refused(option, repr(value)):
        Recognizer(model, **{option: value})


def test_encoded_bytes_of_any_kind(recognizer: Recognizer) -> None:
    encoded = cv2.imencode(".png", draw_barcode("42"))[1].tobytes()
    lines = recognizer.read([bytearray(encoded), memoryview(encoded)])
    assert [line.text for line in lines] == ["42", "42"]


def test_too_little_memory_for_one_image_spoils_only_itself(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_line = pipeline.load_line

    def load(source: np.ndarray, card: ModelCard) -> tuple[np.ndarray, int]:
        if source.shape[1] > 300:
            raise MemoryError
        return load_line(source, card)

    monkeypatch.setattr(pipeline, "load_line", load)
    images = [draw_barcode(text) for text in ("12", "1" * 40, "3")]
    for chosen in (images, images[1:2]):
        lines = recognizer.read(chosen, errors="return")
        assert [line.text for line in lines] == ["12", "", "3"][: len(lines)] or len(lines) == 1
        assert [bool(line.error) for line in lines] == [image is images[1] for image in chosen]
    with pytest.raises(ImageError):
        recognizer.read(images)


@pytest.mark.parametrize("other", [0, 1, 3])
def test_what_is_no_image_has_its_line_too(recognizer: Recognizer, other: int) -> None:
    """`cv2.imread` gives None for a file that is missing."""
    images = [cv2.imread("missing.png"), *[draw_barcode("42")] * other, None, 7, ImageError("lost")]
    for lines in (
        recognizer.read(images, errors="return"),
        recognizer.read(images, errors="return", overlap=False),
        list(recognizer.stream(images, errors="return")),
    ):
        assert [line.text for line in lines] == ["", *["42"] * other, "", "", ""]
        assert [line.error is None for line in lines] == [line.text == "42" for line in lines]
    assert recognizer.read([None], errors="return")[0].error
    for several in ([None], images):
        with pytest.raises(ImageError):
            recognizer.read(several)


def write_failing_reader(path: Path, head: str) -> Path:
    """Gives NaN wherever a step is darker than every character."""
    write_barcode_reader(path, barcode_card(head=head, max_width=160))
    model = onnx.load(path)
    (subtraction,) = (node for node in model.graph.node if node.op_type == "Sub")
    subtraction.input[0] = "checked"
    dark = onnx.numpy_helper.from_array(np.array(0.1, np.float32), "dark")
    model.graph.initializer.append(dark)
    place = list(model.graph.node).index(subtraction)
    for node in (
        onnx.helper.make_node("Add", ["column", "unknown"], ["checked"]),
        onnx.helper.make_node("Log", ["above"], ["unknown_"]),
        onnx.helper.make_node("Sub", ["column", "dark"], ["above"]),
    ):
        model.graph.node.insert(place, node)
    zero = onnx.numpy_helper.from_array(np.array(0, np.float32), "zero")
    model.graph.initializer.append(zero)
    # The logarithm of a negative number is NaN; times zero nothing else remains of it.
    model.graph.node.insert(
        place + 2, onnx.helper.make_node("Mul", ["unknown_", "zero"], ["unknown"])
    )
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("head", HEADS)
def test_what_is_not_a_number_is_an_error_of_its_line(tmp_path: Path, head: str) -> None:
    reader = Recognizer(write_failing_reader(tmp_path / "x.onnx", head), threads=1, batch_size=4)
    dark = draw_barcode("12")
    dark[:, 8:16] = 0
    images = [draw_barcode("34"), dark, draw_barcode("56"), np.hstack([dark] * 8)]
    lines = reader.read(images, errors="return")
    assert [line.text for line in lines] == ["34", "", "56", ""]
    assert [line.error is None for line in lines] == [True, False, True, False]
    with refused(kind=ModelError):
        reader.read(images)


def test_close_releases_the_model(model: Path) -> None:
    image = draw_barcode("1")
    with Recognizer(model) as recognizer:
        assert recognizer.read([image])[0].text == "1"
    recognizer.close()
    for read in (
        lambda: recognizer.read([image], errors="return"),
        lambda: recognizer.read([image, image], errors="return"),
        lambda: list(recognizer.stream([image], errors="return")),
        lambda: recognizer.inspect(image),
    ):
        with refused("closed", kind=ModelError):
            read()
