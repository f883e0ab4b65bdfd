"""A language model beside a reader: what it adds, and which models do not fit."""

import logging
import math
import re
from pathlib import Path

import numpy as np
import pytest

from crnn_runtime import CrnnError
from crnn_runtime.decode.fusion import ShallowFusion, open_fusion
from crnn_runtime.decode.language_model import open_language_model
from crnn_runtime.decode.ngram import build_ngrams

ARPA = """
\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-99\t<s>\t-0.5
-1.0\t</s>
-0.6\ta\t-0.4
-0.7\tb\t-0.3
-2.0\t<unk>

\\2-grams:
-0.25\t<s> a\t-0.15
-0.3\ta b\t-0.125

\\end\\
"""
WORDS = """
\\data\\
ngram 1=7

\\1-grams:
-99\t<s>
-1.0\t</s>
-0.6\tthe
-0.7\tcat
-0.8\ta
-0.9\tsat
-2.0\t<unk>

\\end\\
"""
LN_10 = math.log(10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "small.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return path


def test_fusion_weighs_the_model_and_rewards_length(path: Path) -> None:
    session = ShallowFusion(open_language_model(path), "ab", 0.5, 0.25).session()
    added, state = session.grow(np.array([session.start()]), np.array([1]))
    assert added[0] == pytest.approx(0.5 * -0.25 * LN_10 + 0.25)
    assert session.end(state)[0] == pytest.approx(0.5 * (-0.4 - 1.0) * LN_10)


def test_an_entry_of_several_code_points_is_scored_as_they_are(path: Path) -> None:
    fusion = ShallowFusion(open_language_model(path), ["a", "b", "ab"], 1.0, 0.0).session()
    one, state = fusion.grow(np.array([fusion.start()]), np.array([1]))
    two, end = fusion.grow(state, np.array([2]))
    both, at_once = fusion.grow(np.array([fusion.start()])[:, None], np.array([[3, 1, 0]]))
    assert both[0, 0] == pytest.approx(one[0] + two[0])
    assert both[0, 1] == pytest.approx(one[0])
    assert (at_once[0, 0], at_once[0, 1]) == (end[0], state[0])


@pytest.mark.parametrize("characters", ["ab", "the act", "0123456789"])
def test_a_model_of_words_is_refused(tmp_path: Path, characters: str) -> None:
    path = tmp_path / "words.arpa"
    path.write_text(WORDS, encoding="utf-8")
    with pytest.raises(CrnnError, match=f" {len(set(characters))} ") as caught:
        open_fusion(path, characters, 0.5, 0.0)
    assert "\n" not in str(caught.value)


def test_a_model_of_another_script_is_refused(path: Path) -> None:
    with pytest.raises(CrnnError):
        open_fusion(path, "一二三", 0.5, 0.0)


def test_a_model_that_knows_half_is_used_and_the_rest_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "few.arpa"
    path.write_text(build_ngrams(["ab ba"], 3), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        open_fusion(path, "ab ", 0.5, 0.0)
        assert not caplog.messages
        open_fusion(path, ["a", "b", "c", "d", "ab", "ac"], 0.5, 0.0)
    (message,) = caplog.messages
    assert re.findall(r"\b[36]\b", message) == ["3", "6"]  # ab is spelt, ac cannot be


def test_kenlm_tells_models_of_words_too(tmp_path: Path) -> None:
    pytest.importorskip("kenlm")
    from crnn_runtime.decode.kenlm_model import KenLmModel

    for content, is_of_words in ((WORDS, True), (build_ngrams(["abc"], 2), False)):
        path = tmp_path / "model.arpa"
        path.write_text(
            content.replace("ngram 1=7", "ngram 1=7\nngram 2=1").replace(
                "-2.0\t<unk>\n", "-2.0\t<unk>\n\n\\2-grams:\n-0.1\tthe cat\n"
            ),
            encoding="utf-8",
        )  # KenLM takes no unigram models
        letters = [chr(n) for n in range(ord("a"), ord("z") + 1)]
        assert KenLmModel(path).is_of_words(letters) == is_of_words
