import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from crnn_runtime import Alphabet, ModelCard, ModelError

CARD = ModelCard(arch="lite", alphabet=Alphabet("ab c"), time_stride=8)


@given(
    entries=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=2), min_size=1
    ),
    width=st.none() | st.integers(1, 2048),
    origin=st.floats(-10, 10),
)
def test_json_round_trip(entries: list[str], width: int | None, origin: float) -> None:
    card = CARD.replace(
        alphabet=Alphabet(entries), width=width, time_origin=origin, training={"steps": 3}
    )
    assert ModelCard.from_json(card.to_json()) == card


def test_the_number_of_classes_is_derived() -> None:
    assert CARD.num_classes == 5
    assert json.loads(CARD.to_json())["num_classes"] == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 7}, "7 .*5"),
        ({"alphabet": "abc"}, "5 .*4"),
        ({"format": 2}, "format 1"),
        ({"mean": [0.5]}, "mean .*3"),
        ({"std": [1, 1, 0]}, "std"),
        ({"color": "cmyk"}, "'cmyk' .*rgb, bgr, gray"),
        ({"blank": 4}, "blank"),
        ({"height": 0}, "height"),
        ({"head": "softmax"}, "'softmax' .*greedy, topk, log-probs"),
        ({"width": 4000}, r"width 4000 .*1\.\.2048"),
        ({"surprise": 1}, "surprise"),
        ({"surp\x85rise": 1}, r"'surp\\x85rise'"),  # one line
        ({"alphabet": ""}, "alphabet"),
        ({"height": "32"}, "height"),
        ({"mean": None}, "model card"),
        ({"mean": "abc"}, "model card"),
        ({"width": 1.5}, "width .*null"),
        ({"time_origin": "left"}, "time_origin"),
    ],
)
def test_a_wrong_card_is_refused(changes: dict[str, object], message: str) -> None:
    content = json.loads(CARD.to_json()) | changes
    with pytest.raises(ModelError, match=message):
        ModelCard.from_json(json.dumps(content))


def test_the_class_count_must_be_stated() -> None:
    content = json.loads(CARD.to_json())
    del content["num_classes"]
    with refused("classes", kind=ModelError):
        ModelCard.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"format": 1}'])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="model card"):
        ModelCard.from_json(text)
