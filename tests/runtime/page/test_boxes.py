import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn_runtime.page.boxes import Box, find_boxes
from crnn_runtime.page.crops import crop, crop_size, lengthened, to_page, turned
from crnn_runtime.page.join import join_words

CUT = {"threshold": 0.3, "box_threshold": 0.5, "most": 100}


def polygon(x: float, y: float, width: float, height: float, angle: float = 0.0) -> np.ndarray:
    """A rectangle around (x, y) whose text runs at an angle in degrees."""
    turn = np.radians(angle)
    along = np.array([np.cos(turn), np.sin(turn)]) * width / 2
    down = np.array([-np.sin(turn), np.cos(turn)]) * height / 2
    middle = np.array([x, y])
    corners = [middle - along - down, middle + along - down]
    return np.array([*corners, middle + along + down, middle - along + down], np.float32)


def test_a_rectangle_grows_by_area_over_perimeter() -> None:
    probabilities = np.zeros((60, 200), np.float32)
    probabilities[20:30, 40:140] = 1
    (box,) = find_boxes(probabilities, unclip=1.5, **CUT)
    more = 100 * 10 * 1.5 / (2 * (100 + 10))
    wanted = [[40 - more, 20 - more], [140 + more, 30 + more]]
    assert box.polygon[[0, 2]] == pytest.approx(np.array(wanted), abs=0.01)
    assert box.score == pytest.approx(1, abs=0.01)


def test_faint_small_and_hollow_regions() -> None:
    probabilities = np.zeros((100, 300), np.float32)
    probabilities[10:20, 10:90] = 0.4  # above the threshold, below that of a line
    probabilities[50:52, 10:12] = 1  # a speck
    probabilities[30:90, 100:280] = 1  # a frame …
    probabilities[40:80, 110:270] = 0
    probabilities[55:65, 150:230] = 1  # … with a line in it
    found = find_boxes(probabilities, unclip=0.0, **CUT)
    assert len(found) == 1
    assert found[0].polygon.mean(0) == pytest.approx([190, 60], abs=1)


def test_of_too_many_the_surest_stay() -> None:
    probabilities = np.zeros((100, 100), np.float32)
    for row, level in enumerate((0.6, 0.9, 0.7)):
        probabilities[10 + 30 * row : 20 + 30 * row, 10:90] = level
    found = find_boxes(probabilities, threshold=0.3, box_threshold=0.5, unclip=0, most=2)
    assert [box.score for box in found] == pytest.approx([0.9, 0.7], abs=0.01)


@pytest.mark.parametrize(
    ("angle", "width", "height", "wanted"),
    [
        (0, 90, 12, 0), (10, 90, 12, 10), (-30, 90, 12, -30), (70, 90, 12, 70),
        (-70, 90, 12, -70), (90, 90, 12, 90), (-84, 90, 12, 96), (84, 90, 12, 84),
        (180, 90, 12, 0), (0, 26, 22, 0), (90, 26, 22, 0),
    ],
)  # fmt: skip
def test_text_begins_at_the_left_or_at_the_top(
    angle: float, width: float, height: float, wanted: float
) -> None:
    probabilities = np.zeros((200, 200), np.float32)
    cv2.fillConvexPoly(
        probabilities, polygon(100, 100, width, height, angle).round().astype(int), 1.0
    )
    (box,) = find_boxes(probabilities, unclip=0.0, **CUT)
    along = box.polygon[1] - box.polygon[0]
    found = np.degrees(np.arctan2(along[1], along[0]))
    assert (found - wanted + 180) % 360 - 180 == pytest.approx(0, abs=4)
    down = box.polygon[3] - box.polygon[0]
    assert along[0] * down[1] > along[1] * down[0]  # clockwise, as y points down


@given(
    st.floats(-180, 180), st.integers(20, 80), st.integers(6, 18), st.integers(0, 3),
)  # fmt: skip
def test_a_crop_shows_what_stands_at_its_polygon(
    angle: float, width: int, height: int, quarters: int
) -> None:
    rows, columns = np.mgrid[:200, :200]
    image = np.stack([columns, rows, np.zeros_like(rows)], 2).astype(np.uint8)
    wanted = turned(polygon(100, 100, width, height, angle), quarters)
    picture = crop(image, wanted)
    assert picture.shape[:2] == crop_size(wanted)
    place = np.array([picture.shape[1] // 3, picture.shape[0] // 2])
    seen = picture[place[1], place[0], :2].astype(float)
    assert seen == pytest.approx(to_page(wanted, (place + 0.5)[None])[0] - 0.5, abs=1.6)


def test_a_crop_beyond_the_page_repeats_its_edge() -> None:
    image = np.full((40, 40, 3), 7, np.uint8)
    assert (crop(image, polygon(0, 0, 30, 10)) == 7).all()
    assert crop(image, polygon(300, 300, 30, 10)).shape == (10, 30, 3)


def test_a_plain_crop_is_a_view() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    assert crop(image, polygon(50, 20, 60, 10)).base is not None


def test_lengthened_on_both_sides() -> None:
    longer = lengthened(polygon(50, 50, 60, 10, 30), 5)
    assert longer == pytest.approx(polygon(50, 50, 70, 10, 30), abs=1e-3)


def test_words_on_a_baseline_are_joined_at_any_angle() -> None:
    for angle in (0, 20, 90, 200):
        turn = np.radians(angle)
        along = np.array([np.cos(turn), np.sin(turn)])
        down = np.array([-along[1], along[0]])
        places = [along * 0, along * 60, along * 95, down * 25, along * 300]
        widths = [50, 40, 12, 60, 50]
        boxes = [
            Box(polygon(*(np.array([400, 400]) + place), width, 12, angle), 0.5 + number / 10)
            for number, (place, width) in enumerate(zip(places, widths, strict=True))
        ]
        lines = sorted(join_words(boxes, 1.5), key=lambda box: -box.width)
        assert len(lines) == 3
        assert lines[0].width == pytest.approx(95 + 25 + 6, abs=1)
        direction = lines[0].polygon[1] - lines[0].polygon[0]
        assert direction @ along == pytest.approx(lines[0].width, rel=0.01)
        assert len(join_words(boxes, 0.1)) == 5


def test_joining_nothing() -> None:
    assert join_words([], 1.0) == []
