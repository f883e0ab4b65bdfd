import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ({"num_classes": 7}, "states 7 classes but its alphabet makes 5"),
        ({"alphabet": "abc"}, "states 5 classes but its alphabet makes 4"),
        ({"format": 2}, "not of format 1: update crnn"),
        ({"mean": [0.5]}, "mean and std need 3 values"),
        ({"std": [1, 1, 0]}, "std must be positive"),
        ({"color": "cmyk"}, "'cmyk' is not one of rgb, bgr, gray"),
        ({"blank": 4}, "the blank must be class 0"),
        ({"height": 0}, "height must be positive"),
        ({"head": "softmax"}, "'softmax' is not one of greedy, topk, log-probs"),
        ({"width": 4000}, r"width 4000 is outside 1\.\.2048"),
        ({"surprise": 1}, "unknown fields: surprise"),
        ({"alphabet": ""}, "alphabet is empty"),
        ({"height": "32"}, "height must be a whole number"),
        ({"mean": None}, "model card"),
        ({"mean": "abc"}, "model card"),
        ({"width": 1.5}, "width must be a whole number or null"),
        ({"time_origin": "left"}, "time_origin must be a number"),
    ],
)
def test_a_wrong_card_is_refused(changes: dict[str, object], message: str) -> None:
    content = json.loads(CARD.to_json()) | changes
    with pytest.raises(ModelError, match=message):
        ModelCard.from_json(json.dumps(content))


def test_the_class_count_must_be_stated() -> None:
    content = json.loads(CARD.to_json())
    del content["num_classes"]
    with pytest.raises(ModelError, match="states no number of classes"):
        ModelCard.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"format": 1}'])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="model card"):
        ModelCard.from_json(text)
