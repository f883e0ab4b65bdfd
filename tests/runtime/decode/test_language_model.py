"""ARPA files: known values, KenLM's answers, and files that are none."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from crnn_runtime import CrnnError
from crnn_runtime.decode.language_model import ArpaModel, LanguageModel, open_language_model
from crnn_runtime.decode.ngram import build_ngrams

ARPA = """
\\data\\
ngram 1=6
ngram 2=4
ngram 3=1

\\1-grams:
-99\t<s>\t-0.5
-1.0\t</s>
-0.6\ta\t-0.4
-0.7\tb\t-0.3
-0.8\t<space>\t-0.2
-2.0\t<unk>

\\2-grams:
-0.25\t<s> a\t-0.15
-0.3\ta b\t-0.125
-0.35\tb </s>
-0.45\tb a

\\3-grams:
-0.05\t<s> a b

\\end\\
"""


def total(model: LanguageModel, text: str) -> float:
    """log10 of a line's probability, its end included."""
    scorer = model.scorer()
    state, score = np.array([scorer.start]), 0.0
    for word in model.words(list(text)):
        log_prob, state = scorer.advance(state, np.array([word]))
        score += log_prob[0]
    return (score + scorer.end(state)[0]) / math.log(10)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lm") / "small.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return path


@pytest.mark.parametrize(("text", "expected"), [
    ("", -0.5 - 1.0),  # </s> after <s> is not listed: back-off of <s> and 1-gram
    ("a", -0.25 + (-0.15 - 0.4 - 1.0)),
    ("ab", -0.25 - 0.05 + (-0.125 - 0.35)),  # <s> a b, then a b </s> backs off to b </s>
    ("b", (-0.5 - 0.7) - 0.35),
    ("bab", (-0.5 - 0.7) - 0.45 + (-0.3) + (-0.125 - 0.35)),  # "b a" has no back-off weight
    ("x", (-0.5 - 2.0) - 1.0),  # <unk>, which has no back-off weight either
    (" a", (-0.5 - 0.8) + (-0.2 - 0.6) + (-0.4 - 1.0)),
])  # fmt: skip
def test_values_worked_out_by_hand(path: Path, text: str, expected: float) -> None:
    assert total(open_language_model(path), text) == pytest.approx(expected)


def test_states_and_words_are_broadcast(path: Path) -> None:
    model = ArpaModel(path)
    words = model.words(["a", "b"])
    log_probs, states = model.advance(np.array([[model.start], [0], [0]]), words[None, :])
    assert log_probs.shape == states.shape == (3, 2)
    assert log_probs[1] / math.log(10) == pytest.approx([-0.6, -0.7])


@settings(max_examples=30, deadline=None)
@given(
    corpus=st.lists(st.text("ab ▁é", max_size=8), min_size=1, max_size=6).filter(any),
    order=st.integers(1, 5),
    texts=st.lists(st.text("abcé ", max_size=8), min_size=1, max_size=5),
)
def test_kenlm_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, corpus: list[str], order: int, texts: list[str]
) -> None:
    pytest.importorskip("kenlm")
    from crnn_runtime.decode.kenlm_model import KenLmModel

    order = max(order, 2)  # KenLM takes no unigram models
    path = tmp_path_factory.mktemp("lm") / "model.arpa"
    path.write_text(build_ngrams(corpus, order), encoding="utf-8")
    ours, theirs = ArpaModel(path), KenLmModel(path)
    for text in texts:
        assert total(ours, text) == pytest.approx(total(theirs, text), abs=1e-4)


@pytest.mark.parametrize(("content", "message"), [
    ("hello", "ARPA"),
    ("", "n-gram"),
    ("\\data\\\nngram 1=x\n", "line 2: 'ngram 1=x'"),
    ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1 a\n", "cut off"),
    ("\\data\\\nngram 1=1\n\n\\1-grams:\nhigh a\n\\end\\", "line 5: 'high a'"),
    ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1\n\\end\\", "line 5: '-1'"),
    ("\\data\\\nngram 1=1\nngram 2=1\n\n\\1-grams:\n-1 a\n\\2-grams:\n-1 a b\n\\end\\",
     "'b'"),
    ("\\data\\\nngram 1=1\nngram 3=1\n\n\\1-grams:\n-1 a\n\\2-grams:\n\\3-grams:\n"
     "-1 a a a\n\\end\\", "beginning"),
])  # fmt: skip
def test_what_is_no_arpa_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.arpa"
    path.write_text(content, encoding="utf-8")
    with refused("bad.arpa", message):
        open_language_model(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = ARPA.split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(lines) - 1))
        action = data.draw(st.sampled_from(["drop", "repeat", "replace", "cut"]))
        if action == "replace":
            lines[place] = data.draw(
                st.text("-0.59<s>/ab\t \\:=ngram12\u3000naif", max_size=12) | st.text(max_size=8)
            )
        elif action == "cut":
            lines[place] = lines[place][: data.draw(st.integers(0, 8))]
        else:
            lines[place : place + 1] = [lines[place]] * (2 if action == "repeat" else 0)
        lines = lines or [""]
    path = tmp_path_factory.mktemp("lm") / "damaged.arpa"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        model = open_language_model(path)
    except CrnnError as error:
        message = str(error)
    else:
        message = f"{path} holds a model"
        assert not np.isnan(total(model, "ab xa"))
    assert "damaged.arpa" in message
    assert "\n" not in message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with refused("no.arpa"):
        open_language_model(tmp_path / "no.arpa")


def test_a_broken_kenlm_binary_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("kenlm")
    path = tmp_path / "broken.binary"
    path.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\x00" + bytes(200))
    with pytest.raises(CrnnError, match="KenLM"):
        open_language_model(path)
