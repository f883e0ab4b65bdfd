"""crnn-lm: counts to an ARPA file."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import assert_line

from crnn_runtime import CrnnError
from crnn_runtime.cli.lm import main
from crnn_runtime.decode.language_model import LN_10, ArpaModel
from crnn_runtime.decode.ngram import build_ngrams


def load(folder: Path, content: str) -> ArpaModel:
    path = folder / "model.arpa"
    path.write_text(content, encoding="utf-8")
    return ArpaModel(path)


def test_witten_bell_by_hand(tmp_path: Path) -> None:
    model = load(tmp_path, build_ngrams(["ab", "aa"], 2))
    a, b = model.words(["a", "b"])
    # Unigrams: a 3, b 1, </s> 2 of 6, 3 kinds; 4 words with <unk> share 3 / 9.
    unigram_a = (3 + 3 / 4) / 9
    unigram_b = (1 + 3 / 4) / 9
    probs = np.exp(model.advance(np.zeros(3, np.int64), np.append(model.words("x"), [a, b]))[0])
    assert probs == pytest.approx([3 / 4 / 9, unigram_a, unigram_b], rel=1e-5)
    # After a: a 1, b 1, </s> 1; 3 kinds.
    _, after_a = model.advance(np.array([model.start]), np.array([a]))
    probs = np.exp(model.advance(after_a, np.array([a, b]))[0])
    assert probs == pytest.approx([(1 + 3 * unigram_a) / 6, (1 + 3 * unigram_b) / 6], rel=1e-5)
    # At the start: a twice, of one kind; b never.
    probs = np.exp(model.advance(np.array([model.start]), np.array([a, b]))[0])
    assert probs == pytest.approx([(2 + unigram_a) / 3, unigram_b / 3], rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    corpus=st.lists(st.text("abc d", max_size=8), min_size=1, max_size=6).filter(any),
    order=st.integers(1, 5),
    text=st.text("abcdx", max_size=7),
)
def test_probabilities_add_up_to_one(
    tmp_path_factory: pytest.TempPathFactory, corpus: list[str], order: int, text: str
) -> None:
    model = load(tmp_path_factory.mktemp("lm"), build_ngrams(corpus, order))
    state = np.array([model.start])
    for word in model.words(text):
        _, state = model.advance(state, np.array([word]))
    seen = sorted(set("".join(corpus)))
    log_probs, _ = model.advance(
        state, np.append(model.words([*seen, "\x00"]), [])[...].astype(int)
    )
    whole = np.exp(log_probs).sum() + np.exp(model.end(state)[0])
    assert whole == pytest.approx(1, abs=1e-4)


def test_the_command_writes_a_model(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes("\ufeffthe cat\r\n\nthe\tdog \n".encode())
    out = tmp_path / "lm.arpa"
    result = CliRunner().invoke(main, [str(text), "--out", str(out), "--order", "3"])
    assert result.exit_code == 0, result.output
    assert "order 3" in result.output
    model = ArpaModel(out)
    t, x = model.words(["t", "x"])
    log_probs, _ = model.advance(np.array([model.start]), np.array([t, x]))
    assert log_probs[0] > np.log(0.5)
    assert log_probs[1] < -3 * LN_10 / 2
    assert "<space>" in out.read_text(encoding="utf-8")


def test_mistakes_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n", encoding="utf-8")
    result = CliRunner().invoke(main, [str(empty), "--out", str(tmp_path / "lm.arpa")])
    assert result.exit_code == 2
    assert_line(result.stderr.splitlines()[-1], "text")
    assert not (tmp_path / "lm.arpa").exists()
    with pytest.raises(CrnnError, match=r"order is 0"):
        build_ngrams(["a"], 0)
