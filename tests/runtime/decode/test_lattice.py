"""Top classes, restrictions and alignment."""

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattices import alphabet_of, dense_lattice, every_text, random_log_probs, small_batches
from numpy.typing import NDArray
from refusals import refused

from crnn_runtime import Alphabet, ModelError
from crnn_runtime.decode.lattice import align, best_classes, to_lattice


@given(st.integers(0, 10**6), st.sampled_from([5, 11, 37, 200, 1001]), st.integers(1, 12))
def test_best_classes_are_those_of_a_full_sort(seed: int, classes: int, k: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(2, 3, classes)).astype(np.float32)
    k = min(k, classes)
    expected = np.argsort(-scores, axis=2)[:, :, :k]
    assert np.array_equal(best_classes(scores, k), expected)


def test_denied_classes_leave_the_others_as_they_were() -> None:
    log_probs = np.log(np.array([[[0.1, 0.6, 0.3], [0.2, 0.5, 0.3]]]))
    permitted = np.array([True, False, True])
    lattice = to_lattice(
        {"log_probs": log_probs}, np.array([2]), alphabet=alphabet_of(3), permitted=permitted
    )
    assert lattice.ids[0, :, 0].tolist() == [2, 2]
    assert np.exp(lattice.log_probs[0, :, 0]) == pytest.approx([0.3, 0.3])


def top_k_outputs(probs: list[list[float]], ids: list[list[int]]) -> dict[str, NDArray[np.generic]]:
    return {
        "topk_ids": np.array([ids], np.int32),
        "topk_log_probs": np.log(np.array([probs], np.float32)),
    }


def test_a_topk_step_with_every_class_denied_is_a_doubtful_blank() -> None:
    outputs = top_k_outputs([[0.5, 0.3], [0.5, 0.3]], [[1, 2], [1, 3]])
    lattice = to_lattice(
        outputs,
        np.array([2]),
        alphabet=alphabet_of(6),
        permitted=np.array([True, False, False, True, True, True]),
    )
    assert lattice.ids[0, :, 0].tolist() == [0, 3]
    assert np.exp(lattice.log_probs[0, :, 0]) == pytest.approx([0.2, 0.3])


def test_what_a_topk_head_did_not_give_shares_what_is_missing() -> None:
    lattice = to_lattice(
        top_k_outputs([[0.5, 0.3]], [[1, 0]]), np.array([1]), alphabet=alphabet_of(6)
    )
    probs = np.exp(lattice.of_classes(np.array([[0, 1, 2, 5]])))
    assert probs[0, 0] == pytest.approx([0.3, 0.5, 0.05, 0.05])


@pytest.mark.parametrize("outputs", [
    {"log_probs": np.zeros((1, 2, 7), np.float32)},
    top_k_outputs([[0.9, 0.1]], [[6, 1]]),
])  # fmt: skip
def test_another_alphabet_is_refused(outputs: dict[str, NDArray[np.generic]]) -> None:
    with refused(4, kind=ModelError):
        to_lattice(outputs, np.array([1]), alphabet=Alphabet("abc"))


@settings(max_examples=60, deadline=None)
@given(small_batches(), st.integers(0, 10**6))
def test_alignment_is_the_best_path_of_the_text(
    batch: tuple[NDArray[np.float64], list[int]], pick: int
) -> None:
    log_probs, steps = batch
    lattice = dense_lattice(log_probs, steps, top_k=2)
    texts = []
    for line, count in zip(log_probs, steps, strict=True):
        texts.append(sorted(every_text(line[:count]))[pick % len(every_text(line[:count]))])
    lengths = np.array([len(text) for text in texts])
    codes = np.zeros((len(texts), max(lengths)), np.int64)
    for row, text in zip(codes, texts, strict=True):
        row[: len(text)] = text
    spans = align(lattice, codes, lengths)
    for n, (text, count) in enumerate(zip(texts, steps, strict=True)):
        line = log_probs[n, :count]
        found = [
            (int(a), int(b), float(score))
            for a, b, score in zip(spans.first[n], spans.last[n], spans.log_prob[n], strict=True)
        ][: len(text)]
        best = max(
            (path for path in product(range(line.shape[1]), repeat=count) if _reads(path) == text),
            key=lambda path: sum(line[t, code] for t, code in enumerate(path)),
        )
        path = [0] * count
        for code, (a, b, score) in zip(text, found, strict=True):
            path[a : b + 1] = [code] * (b + 1 - a)
            assert score == pytest.approx(line[a : b + 1, code].max())
        assert _reads(tuple(path)) == text
        score = sum(line[t, code] for t, code in enumerate(path))
        assert score == pytest.approx(sum(line[t, code] for t, code in enumerate(best)))


def _reads(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(code for code, _ in groupby(path) if code)


def test_alignment_does_not_depend_on_the_batch() -> None:
    log_probs = random_log_probs(3, (4, 9, 5))
    codes = np.array([[1, 2, 3], [4, 4, 0], [1, 0, 0], [0, 0, 0]])
    lengths = np.array([3, 2, 1, 0])
    steps = [9, 7, 3, 5]
    together = align(dense_lattice(log_probs, steps), codes, lengths)
    for n, length in enumerate(lengths):
        alone = align(
            dense_lattice(log_probs[n : n + 1], steps[n : n + 1]),
            codes[n : n + 1, :length],
            lengths[n : n + 1],
        )
        assert np.array_equal(alone.first[0], together.first[n, :length])
        assert np.array_equal(alone.last[0], together.last[n, :length])
