"""Lexicons against every path there is."""

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattices import alphabet_of, dense_lattice, every_text, random_log_probs, small_batches
from numpy.typing import NDArray
from refusals import refused

from crnn_runtime import CrnnError
from crnn_runtime.decode.lexicon import Lexicon, read_entries

ALPHABET = alphabet_of(4)


@settings(max_examples=80, deadline=None)
@given(small_batches(), st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=12))
def test_every_entry_has_its_exact_probability(
    batch: tuple[NDArray[np.float64], list[int]], entries: list[str]
) -> None:
    log_probs, steps = batch
    alphabet = alphabet_of(log_probs.shape[2])
    entries = [entry for entry in entries if not alphabet.unknown(entry)] or ["a"]
    found = Lexicon(entries, alphabet).search(dense_lattice(log_probs, steps, top_k=1), best=99)
    for line, count, hypotheses in zip(log_probs, steps, found, strict=True):
        every = every_text(line[:count])
        expected = {
            entry: every[text]
            for entry in entries
            if (text := tuple(alphabet.encode(entry))) in every
        }
        got = {alphabet.decode(h.codes.tolist()): h.log_prob for h in hypotheses}
        assert got == pytest.approx(expected, abs=1e-9)
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)


def test_lines_searched_in_turns_are_as_those_searched_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lattice = dense_lattice(random_log_probs(0, (7, 6, 4)), [6, 5, 4, 3, 2, 1, 6])
    lexicon = Lexicon(["ab", "abc", "cab", "a"], ALPHABET)
    together = lexicon.search(lattice, best=4)
    monkeypatch.setattr("crnn_runtime.decode.lexicon.CELLS", 20)
    in_turns = lexicon.search(lattice, best=4)
    scores = [[[h.score for h in line] for line in found] for found in (together, in_turns)]
    assert scores[0] == scores[1]


def test_entries_that_cannot_be_read_are_left_out_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    permitted = np.array([True, True, False, True])
    with caplog.at_level(logging.WARNING):
        lexicon = Lexicon(["ac", "ab", "ax", "c"], ALPHABET, permitted)
    assert lexicon.entries == ["ac", "c"]
    assert "2 of 4" in caplog.text
    assert "'ab'" in caplog.text
    with refused("1"):
        Lexicon(["x"], ALPHABET)


def test_entries_are_the_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeffrue de la Paix\r\n\n  12 \nrue de la Paix\n".encode())
    assert read_entries(path) == ["rue de la Paix", "12"]
    with refused("none.txt"):
        read_entries(tmp_path / "none.txt")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CrnnError, match="not UTF-8"):
        read_entries(path)
