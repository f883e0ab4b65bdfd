import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from crnn_runtime import Alphabet, ModelError
from crnn_runtime.decode.greedy import decode_greedy, greedy_runs, line_confidence
from crnn_runtime.pipeline import raw_path

ALPHABET = Alphabet("abcd")

batches = st.integers(0, 12).flatmap(
    lambda length: st.lists(
        st.tuples(
            st.lists(st.integers(0, 4), min_size=length, max_size=length), st.integers(0, length)
        ),
        min_size=1,
        max_size=5,
    )
)


def naive(path: list[int]) -> list[tuple[int, int, int]]:
    """(code, first step, last step) by the textbook's loop."""
    runs: list[tuple[int, int, int]] = []
    previous = 0
    for step, code in enumerate(path):
        if code and code == previous:
            runs[-1] = (code, runs[-1][1], step)
        elif code:
            runs.append((code, step, step))
        previous = code
    return runs


@given(batches)
def test_greedy_runs_match_the_textbook(batch: list[tuple[list[int], int]]) -> None:
    ids = np.array([path for path, _ in batch], np.int32)
    steps = np.array([count for _, count in batch])
    probs = np.random.default_rng(0).uniform(0.1, 1, ids.shape).astype(np.float32)
    runs = greedy_runs(ids, probs, steps)
    found = list(zip(runs.line, runs.code, runs.first, runs.last, runs.confidence, strict=True))
    expected = [
        (n, code, first, last, probs[n, first : last + 1].max())
        for n, (path, count) in enumerate(batch)
        for code, first, last in naive(path[:count])
    ]
    assert found == expected
    texts = ["".join("abcd"[code - 1] for code, *_ in naive(p[:count])) for p, count in batch]
    assert decode_greedy(ids, probs, steps, ALPHABET) == texts


def test_a_blank_between_keeps_a_double_letter() -> None:
    ids = np.array([[1, 1, 0, 1, 2, 2]])
    probs = np.ones(ids.shape, np.float32)
    assert decode_greedy(ids, probs, np.array([6]), ALPHABET) == ["aab"]
    assert raw_path(ids[0], ALPHABET) == "aa-abb"


def test_padding_is_never_decoded() -> None:
    ids = np.array([[1, 1, 1, 2]])
    probs = np.array([[0.5, 0.6, 0.9, 0.9]], np.float32)
    runs = greedy_runs(ids, probs, np.array([2]))
    assert runs.code.tolist() == [1]
    assert runs.last.tolist() == [1]
    assert runs.confidence[0] == pytest.approx(0.6)  # not the 0.9 of the padding


def test_a_class_beyond_the_alphabet_is_refused() -> None:
    with refused(7, 5, kind=ModelError):
        decode_greedy(np.array([[7]]), np.ones((1, 1), np.float32), np.array([1]), ALPHABET)


def test_line_confidence_is_the_geometric_mean() -> None:
    assert line_confidence(np.array([0.5, 0.125])) == pytest.approx(0.25)
    assert math.isfinite(line_confidence(np.array([0.0, 1.0])))
