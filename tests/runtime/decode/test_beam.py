"""Prefix beam search against every path there is."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lattices import dense_lattice, every_text, random_log_probs, small_batches
from numpy.typing import NDArray

from crnn_runtime.decode.beam import prefix_beam_search

ALL = 600  # more than there are texts of five steps and three characters


@settings(max_examples=150, deadline=None)
@given(small_batches())
@example((np.array([[[6e-17, -41.0]]]), [1]))  # a probability above 1, by rounding
def test_with_room_for_every_prefix_the_search_is_exact(
    batch: tuple[NDArray[np.float64], list[int]],
) -> None:
    log_probs, steps = batch
    found = prefix_beam_search(dense_lattice(log_probs, steps), width=ALL, best=ALL)
    for line, count, hypotheses in zip(log_probs, steps, found, strict=True):
        expected = every_text(line[:count])
        got = {tuple(h.codes.tolist()): h.log_prob for h in hypotheses}
        assert len(got) == len(hypotheses)
        # A text may be left out only if it is 300 orders of magnitude below the best.
        assert all(expected[text] < -600 for text in expected.keys() - got.keys())
        for text, log_prob in got.items():
            # Below e^-708 doubles are subnormal and lose their digits.
            within = 1e-9 if expected[text] > -700 else 1.0
            assert log_prob == pytest.approx(expected[text], abs=within, rel=1e-12)
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)


@settings(max_examples=60, deadline=None)
@given(small_batches(), st.integers(1, 8), st.integers(1, 4))
def test_a_beam_never_finds_more_than_there_is(
    batch: tuple[NDArray[np.float64], list[int]], width: int, top_k: int
) -> None:
    log_probs, steps = batch
    found = prefix_beam_search(
        dense_lattice(log_probs, steps, top_k=top_k), width=width, best=width
    )
    for line, count, hypotheses in zip(log_probs, steps, found, strict=True):
        expected = every_text(line[:count])
        assert 1 <= len(hypotheses) <= width
        assert len({tuple(h.codes.tolist()) for h in hypotheses}) == len(hypotheses)
        for hypothesis in hypotheses:
            assert hypothesis.log_prob <= expected[tuple(hypothesis.codes.tolist())] + 1e-9


def test_a_wider_beam_is_better_or_equal_on_the_whole() -> None:
    # Of one line it may be worse by a hair (the sum of a text loses paths whose prefixes
    # were dropped, and which are dropped changes), so the law holds of the total.
    log_probs = random_log_probs(1, (200, 12, 6), 1.5)
    totals = [
        sum(
            hypotheses[0].log_prob
            for hypotheses in prefix_beam_search(dense_lattice(log_probs), width=width)
        )
        for width in (1, 2, 4, 8, 16, 64)
    ]
    assert totals == sorted(totals)
    assert totals[-1] - totals[0] > 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([1.0, 1 - 1e-2]))
def test_neighbours_change_nothing(seed: int, lines: int, sure_blank: float) -> None:
    log_probs = random_log_probs(seed, (lines, 40, 6), 4.0)
    steps = np.random.default_rng(seed).integers(1, 41, lines).tolist()
    options = {"width": 5, "best": 5, "sure_blank": sure_blank}
    together = prefix_beam_search(dense_lattice(log_probs, steps), **options)
    for n, hypotheses in enumerate(together):
        alone = dense_lattice(log_probs[n : n + 1, : steps[n]], steps[n : n + 1])
        (expected,) = prefix_beam_search(alone, **options)
        assert [h.codes.tolist() for h in hypotheses] == [h.codes.tolist() for h in expected]
        assert [h.score for h in hypotheses] == pytest.approx([h.score for h in expected])


def test_the_most_probable_text_need_not_be_on_the_best_path() -> None:
    # Graves 2006, figure 3: the best path is blank, blank; the text "a" has more paths.
    log_probs = np.log(np.array([[[0.6, 0.4], [0.6, 0.4]]]))
    ((first, second),) = prefix_beam_search(dense_lattice(log_probs), width=4, best=4)
    assert first.codes.tolist() == [1]
    assert np.exp(first.log_prob) == pytest.approx(0.64)
    assert np.exp(second.log_prob) == pytest.approx(0.36)


def test_one_beam_reads_what_the_best_path_reads_where_classes_are_certain() -> None:
    # Where every step has a class above 1/2, one beam cannot leave it for long; with
    # near-certain classes the two agree. In general they do not, see above.
    rng = np.random.default_rng(0)
    path = rng.integers(0, 5, (20, 30))
    probs = np.full((20, 30, 5), 1e-4)
    np.put_along_axis(probs, path[:, :, None], 1 - 4e-4, axis=2)
    found = prefix_beam_search(dense_lattice(np.log(probs)), width=1)
    for n, hypotheses in enumerate(found):
        previous = np.append(-1, path[n, :-1])
        assert (
            hypotheses[0].codes.tolist() == path[n][(path[n] != previous) & (path[n] > 0)].tolist()
        )


def test_a_sure_blank_is_skipped_within_its_bound() -> None:
    log_probs = random_log_probs(5, (30, 6, 4), 1.0)
    sure = np.log(np.array([0.999, 0.0005, 0.0003, 0.0002]))
    log_probs[:, [0, 2, 3]] = sure
    lattice = dense_lattice(log_probs)
    exact = prefix_beam_search(lattice, width=ALL, best=ALL)
    skipped = prefix_beam_search(lattice, width=ALL, best=ALL, sure_blank=0.99)
    for whole, part in zip(exact, skipped, strict=True):
        probs = {tuple(h.codes.tolist()): np.exp(h.log_prob) for h in whole}
        for hypothesis in part:
            lost = probs[tuple(hypothesis.codes.tolist())] - np.exp(hypothesis.log_prob)
            assert -1e-12 < lost <= 3 * 0.001
        assert sum(np.exp(h.log_prob) for h in part) == pytest.approx(0.999**3)


def test_a_blank_that_is_skipped_still_parts_double_letters() -> None:
    probs = np.array([[[0.01, 0.99], [0.9999, 0.0001], [0.01, 0.99]]])
    ((best,),) = prefix_beam_search(dense_lattice(np.log(probs)), width=4, sure_blank=0.99)
    assert best.codes.tolist() == [1, 1]


def test_a_line_of_nothing_but_sure_blanks() -> None:
    probs = np.tile([0.9999, 0.0001], (2, 5, 1))
    found = prefix_beam_search(dense_lattice(np.log(probs), [5, 3]), width=4, sure_blank=0.99)
    assert [h[0].codes.tolist() for h in found] == [[], []]
    assert [h[0].log_prob for h in found] == pytest.approx([5 * np.log(0.9999), 3 * np.log(0.9999)])


def test_a_very_long_line_loses_no_range() -> None:
    log_probs = random_log_probs(7, (1, 3000, 4), 0.1)  # e^-4000 by its end
    ((best,),) = prefix_beam_search(dense_lattice(log_probs), width=8)
    assert -4200 < best.log_prob < -1000
    certain = np.log(np.tile([1e-30, 1 - 2e-30, 1e-30], (1, 3000, 1)))
    ((best,),) = prefix_beam_search(dense_lattice(certain), width=8)
    assert (best.codes.tolist(), best.log_prob) == ([1], pytest.approx(0, abs=1e-9))


class _Favour:
    """A fusion that adds 5 for class 2 after class 1, and 1 for ending after class 2."""

    def start(self) -> int:
        return 0

    def grow(
        self, states: NDArray[np.int64], codes: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        states, codes = np.broadcast_arrays(states, codes)
        return np.where((states == 1) & (codes == 2), 5.0, 0.0), codes.copy()

    def end(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.where(states == 2, 1.0, 0.0)


@settings(max_examples=60, deadline=None)
@given(small_batches())
def test_fusion_is_exact_too(batch: tuple[NDArray[np.float64], list[int]]) -> None:
    log_probs, steps = batch
    lattice = dense_lattice(log_probs, steps)
    found = prefix_beam_search(lattice, width=ALL, best=ALL, fusion=_Favour())
    for line, count, hypotheses in zip(log_probs, steps, found, strict=True):
        expected = every_text(line[:count])
        for hypothesis in hypotheses:
            text = tuple(hypothesis.codes.tolist())
            pairs = list(pairwise(text))
            added = 5 * pairs.count((1, 2)) + (text[-1:] == (2,))
            within = 1e-9 if expected[text] > -700 else 1.0  # subnormal, as above
            assert hypothesis.score == pytest.approx(expected[text] + added, abs=within, rel=1e-12)
