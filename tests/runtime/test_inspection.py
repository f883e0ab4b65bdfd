"""`Recognizer.inspect` shows the same steps that `Recognizer.read` takes."""

from pathlib import Path

import numpy as np
import pytest
from barcode import ALPHABET, STRIDE, barcode_card, draw_barcode, write_barcode_reader
from refusals import refused

from crnn_runtime import Decoding, ImageError, Recognizer
from crnn_runtime.inspection import STAGES, TOP_K
from crnn_runtime.model.card import HEADS

CLASSES = {"greedy": 1, "topk": 2, "log-probs": TOP_K}


def _reader(folder: Path, head: str, **changes: object) -> Path:
    return write_barcode_reader(folder / f"{head}.onnx", barcode_card(head=head, **changes))


@pytest.mark.parametrize("head", HEADS)
def test_the_line_is_the_one_that_is_read(tmp_path: Path, head: str) -> None:
    recognizer = Recognizer(_reader(tmp_path, head))
    image = draw_barcode("0011223", height=64)
    found = recognizer.inspect(image)
    assert found.line == recognizer.read([image])[0]
    assert (found.height, found.width) == image.shape
    assert set(found.seconds) == set(STAGES)
    assert all(found.seconds[stage] > 0 for stage in STAGES if stage != "search")


@pytest.mark.parametrize("head", HEADS)
def test_steps_spell_the_path_and_lie_where_they_are(tmp_path: Path, head: str) -> None:
    image = draw_barcode("52", height=32)
    found = Recognizer(_reader(tmp_path, head)).inspect(image)
    (steps,) = found.steps
    path = "".join(("-" + "".join(ALPHABET.characters))[code] for code in steps.ids[:, 0])
    assert path == found.line.raw == "-5-2-"
    assert steps.ids.shape == steps.log_probs.shape == (5, CLASSES[head])
    assert (np.diff(steps.log_probs, axis=1) <= 0).all()
    assert steps.x0.tolist() == [STRIDE * t for t in range(5)]
    assert steps.x1.tolist() == [STRIDE * (t + 1) for t in range(5)]


def test_alternatives_need_more_than_the_best_class(tmp_path: Path) -> None:
    image = draw_barcode("52")
    assert Recognizer(_reader(tmp_path, "greedy")).inspect(image).alternatives == ()
    recognizer = Recognizer(_reader(tmp_path, "log-probs"))
    found = recognizer.inspect(image, nbest=3)
    assert len(found.alternatives) == 3
    assert found.alternatives[0].text == found.line.text == "52"
    assert found.seconds["search"] > 0
    none = recognizer.inspect(image, nbest=0)
    assert none.alternatives == ()
    assert none.seconds["search"] == 0
    with refused("nbest", -1):
        recognizer.inspect(image, nbest=-1)


def test_a_recognizer_that_searches_keeps_its_own_alternatives(tmp_path: Path) -> None:
    path = _reader(tmp_path, "log-probs")
    recognizer = Recognizer(path, decoder=Decoding(lexicon=["52", "53"], nbest=2))
    found = recognizer.inspect(draw_barcode("52"))
    assert [each.text for each in found.alternatives] == ["52", "53"]
    assert found.alternatives == found.line.alternatives


def test_every_piece_of_a_long_line_is_shown(tmp_path: Path) -> None:
    recognizer = Recognizer(_reader(tmp_path, "log-probs", max_width=512))
    text = "0123456789" * 8
    found = recognizer.inspect(draw_barcode(text))
    assert found.line.text == text
    assert found.line.pieces == len(found.steps) > 1
    assert found.alternatives == ()
    assert found.steps[0].x0[0] == 0
    assert found.steps[-1].x1[-1] == found.width
    for before, after in zip(found.steps, found.steps[1:], strict=False):
        assert before.x0[0] < after.x0[0] < before.x1[-1] < after.x1[-1]


def test_what_is_no_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        Recognizer(_reader(tmp_path, "greedy")).inspect(b"nothing of the kind")
