"""Cards that do not fit their graphs: one line, never a text that only looks plausible."""

import tempfile
from pathlib import Path

from barcode import barcode_card, draw_barcode, write_barcode_reader
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn_runtime import Alphabet, CrnnError, Recognizer
from crnn_runtime.model.card import METADATA_KEY, ModelCard

LETTERS = "0123456789abcdefghij"
OTHER_CARDS = st.one_of(
    st.integers(1, 20).filter(lambda n: n != 10).map(lambda n: {"alphabet": Alphabet(LETTERS[:n])}),
    st.integers(8, 96).filter(lambda n: n != 32).map(lambda n: {"height": n}),
    st.sampled_from(["greedy", "topk"]).map(lambda head: {"head": head}),
    st.just({"color": "rgb", "mean": (0.0,) * 3, "std": (1.0,) * 3}),
)
OWN = barcode_card(head="log-probs")


def why_not(metadata: str, own: ModelCard = OWN) -> CrnnError | None:
    """Returns the error of a graph of ten digits with the card of another; None if it reads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reader.onnx"
        write_barcode_reader(path, own, {METADATA_KEY: metadata})
        try:
            with Recognizer(path, threads=1) as recognizer:
                recognizer.read([draw_barcode("93")])
        except CrnnError as error:
            return error
    return None


@settings(max_examples=40, deadline=None)
@given(changes=OTHER_CARDS)
def test_a_card_of_another_graph(changes: dict[str, object]) -> None:
    error = why_not(OWN.replace(**changes).to_json())
    assert error is not None
    assert len(str(error).splitlines()) == 1


@settings(max_examples=10, deadline=None)
@given(characters=st.integers(1, 9))
def test_a_class_that_the_card_lacks(characters: int) -> None:
    """A greedy graph does not say how many classes it has; one that it gives does."""
    own = barcode_card(head="greedy")
    changed = own.replace(alphabet=Alphabet(LETTERS[:characters]))
    assert why_not(changed.to_json(), own) is not None


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), put=st.text(max_size=3), gone=st.integers(0, 4))
def test_a_card_that_was_edited(place: float, put: str, gone: int) -> None:
    text = OWN.to_json()
    start = int(len(text) * place)
    error = why_not(text[:start] + put + text[start + gone :])
    assert error is None or len(str(error).splitlines()) == 1
