import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn_benchmarks.harness.stats import (
    BLOCKS,
    REPEATABILITY,
    Interval,
    median,
    of_rounds,
    quantiles,
    ratio,
    share,
    student_t,
)

positive = st.floats(1e-6, 1e6)


def drifting_run(generator: np.random.Generator, rounds: int = 40) -> list[list[float]]:
    """Times of a machine whose speed wanders within the run, with outliers as preemption gives."""
    mood = 0.0
    run = []
    for _ in range(rounds):
        mood = 0.7 * mood + generator.normal(0, 0.05)
        noise = generator.normal(0, 0.02, 8) + (generator.random(8) < 0.1)
        run.append((1e-3 * np.exp(mood + noise)).tolist())
    return run


def test_two_runs_on_one_drifting_machine_agree() -> None:
    generator = np.random.default_rng(1)
    runs = [median(drifting_run(generator)) for _ in range(120)]
    agreeing = np.mean([a.overlaps(b) for a, b in zip(runs[::2], runs[1::2], strict=True)])
    assert agreeing > 0.97


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    truth = np.median(np.concatenate([np.ravel(drifting_run(generator)) for _ in range(100)]))
    found = [median(drifting_run(generator)).bounds() for _ in range(120)]
    held = np.mean([low <= truth <= high for low, high in found])
    assert held > 0.92


def test_drift_widens_the_interval_where_single_values_would_hide_it() -> None:
    steady = [[1.0] * 8 for _ in range(BLOCKS)]
    half = [[1.0] * 8] * (BLOCKS // 2) + [[2.0] * 8] * (BLOCKS // 2)
    narrow, wide = of_rounds(steady, lambda v: float(v.mean())), of_rounds(half, lambda v: v.mean())
    assert narrow.high is not None
    assert narrow.high == pytest.approx(math.exp(1.959964 * REPEATABILITY), rel=1e-3)
    assert wide.low is not None
    assert wide.low < 1.2
    assert wide.high is not None
    assert wide.high > 1.8


def test_a_difference_is_seen() -> None:
    generator = np.random.default_rng(3)
    slow = [[2 * value for value in times] for times in drifting_run(generator)]
    assert not median(drifting_run(generator)).overlaps(median(slow))


def test_what_slows_both_leaves_their_ratio_as_it_is() -> None:
    one = drifting_run(np.random.default_rng(5))
    found = ratio([[3 * value for value in times] for times in one], one)
    assert found.value == pytest.approx(3)
    assert found.high is not None
    assert found.high / 3 == pytest.approx(math.exp(2**0.5 * 1.959964 * REPEATABILITY), rel=1e-3)


def test_high_quantiles_need_runs() -> None:
    few = quantiles([[1.0, 2.0]] * 5)
    assert (few.runs, few.p95, few.p99) == (10, None, None)
    more = quantiles([[1.0, 2.0]] * 10)
    assert more.p95 is not None
    assert more.p99 is None
    assert quantiles([[1.0, 2.0]] * 50).p99 is not None


def test_one_round_tells_no_interval() -> None:
    assert median([[1.0, 2.0, 3.0]]) == Interval(2.0)


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042)],
)
def test_students_quantiles_are_those_of_the_tables(freedom: int, expected: float) -> None:
    assert student_t(freedom) == pytest.approx(expected, rel=2e-3)


def test_a_share_of_all_lines_still_has_doubt() -> None:
    ones, none = np.ones(53), np.zeros(53)
    every, nothing = share(ones, ones), share(none, ones)
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(0.932, abs=0.001)  # Wilson's for 53 of 53
    assert (nothing.value, nothing.low) == (0.0, 0.0)
    assert nothing.high == pytest.approx(0.068, abs=0.001)


def test_bootstrap_intervals_hold_the_true_share() -> None:
    generator = np.random.default_rng(4)
    held = 0
    for seed in range(100):
        right = (generator.random(178) < 0.9).astype(float)
        low, high = share(right, np.ones(178), seed=seed).bounds()
        held += low <= 0.9 <= high
    assert 0.89 <= held / 100 <= 0.99


@given(positive, positive, positive)
def test_a_figure_outside_its_interval_is_refused(a: float, b: float, c: float) -> None:
    low, value, high = sorted((a, b, c))
    interval = Interval(value, low, high)
    assert interval.overlaps(Interval(high))
    assert interval.inverse().inverse().value == pytest.approx(value)
    assert interval.scaled(3).bounds() == pytest.approx((3 * low, 3 * high))
    if value < high * (1 - 1e-6):
        with pytest.raises(ValueError, match="outside"):
            Interval(high, low, value)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Interval(float("nan"))
