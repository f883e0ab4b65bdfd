import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn_runtime.page.order import reading_order


def boxes(*places: tuple[float, float, float, float]) -> list[np.ndarray]:
    """x, y, width, height of each."""
    return [
        np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32)
        for x, y, w, h in places
    ]


def column(x: float, y: float, width: float, lines: int) -> list[tuple[float, float, float, float]]:
    return [(x, y + 16 * number, width, 10) for number in range(lines)]


HEADED = [
    (100, 0, 220, 14),
    *column(0, 40, 200, 9),
    *column(230, 40, 200, 12),
    (205, 300, 20, 10),
]
TABLE = [
    (column_ * 120, 30 * row, width, 10)
    for row, widths in enumerate(((60, 50, 70), (30, 80, 50), (55, 35, 62), (20, 71, 33)))
    for column_, width in enumerate(widths)
]
RECEIPT = [
    (100, 0, 90, 12),
    *(
        place
        for row in range(6)
        for place in ((0, 40 + 20 * row, 50 + 50 * row % 130, 10), (260, 42 + 20 * row, 35, 10))
    ),
]
SPANNED = [
    *column(0, 0, 200, 5),
    *column(230, 0, 200, 5),
    (0, 100, 430, 10),
    *column(0, 130, 200, 5),
    *column(230, 130, 200, 5),
]


@pytest.mark.parametrize("angle", [0, 3, -8, 90, 180, -90])
@pytest.mark.parametrize("places", [HEADED, TABLE, RECEIPT, SPANNED], ids="htrs")
def test_pages_at_any_angle(places: list[tuple[float, float, float, float]], angle: float) -> None:
    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    polygons = [(polygon @ matrix).astype(np.float32) for polygon in boxes(*places)]
    shuffled = np.random.default_rng(3).permutation(len(polygons))
    found = reading_order([polygons[index] for index in shuffled])
    assert [shuffled[place.index] for place in found] == list(range(len(polygons)))


def test_a_page_that_is_seen_at_an_angle() -> None:
    polygons = boxes(*RECEIPT)
    for polygon in polygons:  # lines meet at the right
        polygon[:, 1] += (polygon[:, 1] - 80) * -0.0012 * polygon[:, 0]
    assert [place.index for place in reading_order(polygons)] == list(range(len(polygons)))


def test_blocks_are_numbered_in_reading_order() -> None:
    found = reading_order(boxes(*HEADED))
    assert [place.block for place in found] == [0, *[1] * 9, *[2] * 12, 3]


def test_notes_in_the_margin_come_last() -> None:
    note = np.array([[500, 0], [500, 100], [490, 100], [490, 0]], np.float32)
    found = reading_order([note, *boxes(*column(0, 0, 200, 6))])
    assert [place.index for place in found] == [1, 2, 3, 4, 5, 6, 0]


def test_no_line() -> None:
    assert reading_order([]) == []


@given(
    st.lists(
        st.tuples(
            st.floats(-100, 5000), st.floats(-100, 5000), st.floats(0, 900), st.floats(0, 900)
        ),
        max_size=30,
    )
)
def test_each_line_has_one_place(places: list[tuple[float, float, float, float]]) -> None:
    found = reading_order(boxes(*places))
    assert sorted(place.index for place in found) == list(range(len(places)))
    numbers = [place.block for place in found]
    assert numbers == sorted(numbers)
