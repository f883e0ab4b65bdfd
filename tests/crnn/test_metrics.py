import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn.metrics import Tally, confusions, normalize, score, worst


def test_figures_of_a_small_set() -> None:
    scores = score(["abcd", "ab", "x y"], ["abcd", "ax", "XY"])
    assert scores.lines == 3
    assert scores.exact == pytest.approx(1 / 3)
    assert scores.cer == pytest.approx((0 + 1 + 3) / 9)
    assert scores.one_minus_ned == pytest.approx((1 + 0.5 + 0) / 3)
    assert scores.exact_normalized == pytest.approx(2 / 3)
    assert scores.cer_normalized == pytest.approx(1 / 8)


def test_normalised_ignores_form_space_and_case() -> None:
    assert normalize("Ａ b　Ｃ①") == normalize("abc1") == "abc1"


def test_empty_lines_and_empty_sets_have_figures() -> None:
    assert score([], []).exact == 0
    assert score([""], [""]).one_minus_ned == 1
    assert score([""], ["ab"]).cer == 2


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="shorter"):
        score(["a", "b"], ["a"])


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=20))
def test_figures_stay_in_their_ranges(pairs: list[tuple[str, str]]) -> None:
    truths, readings = zip(*pairs, strict=True)
    scores = score(truths, readings)
    assert 0 <= scores.exact <= scores.one_minus_ned <= 1
    assert scores.exact <= scores.exact_normalized
    assert scores.cer >= 0
    assert score(truths, truths).exact == 1


def test_confusions_name_what_was_read_for_what() -> None:
    pairs = confusions(["10l", "abc"], ["1Ol", "abcd"])
    assert pairs == {("0", "O"): 1, ("", "d"): 1}
    assert confusions(["abc"], ["ac"]) == {("b", ""): 1}


def test_worst_lines_come_first_and_right_ones_never() -> None:
    assert worst(["abc", "abc", "abc"], ["abd", "abc", "xyz"], 5) == [2, 0]
    assert worst(["abc", "abc"], ["x", "ab"], 1) == [0]


def test_an_empty_tally_has_figures() -> None:
    assert Tally().figures() == (0.0, 0.0, 0.0)
