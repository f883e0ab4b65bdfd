"""In which profile and shapes a batch is run."""

import math

import pytest
from engine_checks import MANY, PROFILES
from hypothesis import given
from hypothesis import strategies as st

from crnn_runtime.backends.tensorrt.calls import EngineShapeError, choose_profile, plan_calls
from crnn_runtime.model.engine_file import Profile, Range


@pytest.mark.parametrize(
    ("lines", "width", "index"),
    [(1, 100, 0), (2, 100, 1), (8, 256, 1), (1, 300, 0), (8, 300, 0), (100, 64, 1), (1, 32, 0)],
)
def test_the_profile_with_the_least_calls_is_chosen(lines: int, width: int, index: int) -> None:
    assert choose_profile(PROFILES, lines, width) == index


SERVER = (
    Profile(Range(1, 1, 1), Range(32, 320, 2048)),
    Profile(Range(2, 8, 16), Range(32, 320, 2048)),
    Profile(Range(16, 64, 64), Range(32, 64, 512)),
    Profile(Range(1, 1, 1), Range(32, 1536, 2048)),
)


@pytest.mark.parametrize(
    ("lines", "width", "index"),
    [
        (1, 320, 0),
        (1, 1500, 3),  # as good as the first, but tuned for it
        (8, 1500, 1),
        (16, 320, 1),  # both serve it in one call; 8 × 320 is nearer than 64 × 64
        (17, 320, 2),
        (64, 64, 2),
        (40, 1024, 1),  # the third is too narrow
        (200, 96, 2),
    ],
)
def test_of_several_batches_and_widths_the_nearest_is_chosen(
    lines: int, width: int, index: int
) -> None:
    assert choose_profile(SERVER, lines, width) == index


@given(
    st.lists(st.tuples(*[st.integers(1, 70)] * 3, *[st.integers(32, 2048)] * 3), min_size=1),
    st.integers(1, 200),
    st.integers(32, 2048),
)
def test_whatever_is_chosen_serves_every_line_once(
    bounds: list[tuple[int, ...]], lines: int, width: int
) -> None:
    profiles = [Profile(Range(*sorted(each[:3])), Range(*sorted(each[3:]))) for each in bounds]
    if width > max(profile.width.max for profile in profiles):
        with pytest.raises(EngineShapeError, match=str(width)):
            plan_calls(profiles, lines, width)
        return
    calls = plan_calls(profiles, lines, width)
    assert [line for call in calls for line in range(call.first, call.last)] == list(range(lines))
    for call in calls:
        profile = profiles[call.profile]
        assert call.rows in profile.batch
        assert call.width in profile.width
        assert call.width >= width
        assert call.last - call.first <= call.rows
    fewest = {math.ceil(lines / p.batch.max) for p in profiles if width <= p.width.max}
    assert len(calls) == min(fewest)


def test_batches_are_rounded_so_that_few_shapes_are_run() -> None:
    one_to_64 = [Profile(Range(1, 8, 64), Range(32, 320, 2048))]
    rows = [plan_calls(one_to_64, lines, 320)[0].rows for lines in range(1, 65)]
    assert set(rows) == {1, 2, 4, 8, 16, 32, 64}
    assert all(lines <= run < 2 * lines for lines, run in enumerate(rows, 1))


def test_a_batch_that_is_too_large_fills_its_first_runs() -> None:
    assert [(c.first, c.last, c.rows) for c in plan_calls([MANY], 20, 64)] == [
        (0, 8, 8),
        (8, 16, 8),
        (16, 20, 4),
    ]
    odd = [Profile(Range(3, 5, 48), Range(32, 32, 32))]
    assert [c.rows for c in plan_calls(odd, 49, 32)] == [48, 3]
    assert [c.rows for c in plan_calls(odd, 40, 32)] == [48]
