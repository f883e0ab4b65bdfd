"""Lines upside down and on their side: what is turned, what never is, and what it costs."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from crnn_runtime import CrnnError, ImageError, Line, Recognizer
from crnn_runtime.cli.infer import main
from crnn_runtime.picture.load import load_image
from crnn_runtime.picture.preprocess import Piece
from crnn_runtime.picture.rotate import rotated
from crnn_runtime.turning import Turns

SAMPLES = [
    Path(__file__).parents[2] / "docs" / "samples" / name for name in ("zh.jpg", "latin.jpg")
]
WIDE, TALL = Piece(0, 200, 32), Piece(0, 32, 200)


def said(text: str, confidence: float, turned: int = 0) -> Line:
    return Line(text, confidence, "", (), turned=turned)


def enter_all(lines: Sequence[Line], piece: Piece = WIDE) -> tuple[list[int], Line]:
    """Returns the turns asked for after each reading, and the reading that counts in the end."""
    turns, asked = Turns(), []
    for line in lines:
        asked.append(turns.enter(line, [piece]))
    assert asked[-1] is None
    return [turned for turned in asked if turned is not None], turns.result


def test_what_is_read_with_confidence_is_read_once() -> None:
    line = said("abc", 0.95)
    assert enter_all([line]) == ([], line)
    assert enter_all([line], TALL) == ([], line)


def test_an_unsure_line_is_read_upside_down_and_a_tall_one_on_its_sides() -> None:
    first, turned = said("qe", 0.4), said("ab", 0.97, 180)
    assert enter_all([first, turned]) == ([180], turned)
    ways = [said("m", 0.3, 90), said("abc", 0.96, 270), said("k", 0.5, 180)]
    assert enter_all([first, *ways], TALL) == ([90, 270, 180], ways[1])


@pytest.mark.parametrize(
    ("first", "turned"),
    [
        (said("99.80", 0.85), said("0866", 0.9, 180)),  # not much surer
        (said("0", 0.6), said("0", 0.99, 180)),  # the same
        (said("ab", 0.3), said("", 0.99, 180)),  # nothing, surely
        (said("ab", 0.3), Line.unread("too wide")),
    ],
)
def test_a_turned_reading_counts_only_if_it_is_clear(first: Line, turned: Line) -> None:
    assert enter_all([first, turned])[1] == first


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_pictures_read_as_upright_ones(degrees: int) -> None:
    pictures = [load_image(path) for path in SAMPLES]
    turned = [np.ascontiguousarray(rotated(picture, degrees)) for picture in pictures]
    with Recognizer("zh", threads=1) as plain, Recognizer("zh", threads=1, turn="auto") as auto:
        upright = plain.read(pictures)
        assert [line.turned for line in upright] == [0, 0]
        lines = auto.read([*turned, *turned])
        assert [line.text for line in lines] == 2 * [line.text for line in upright]
        assert {line.turned for line in lines} == {-degrees % 360}
        assert [auto.read([picture])[0] for picture in turned] == lines[:2]
        assert list(auto.stream(iter(turned), look_ahead=1)) == lines[:2]
        found = auto.inspect(turned[0])
        assert (found.line, found.width, found.height) == (lines[0], *pictures[0].shape[1::-1])
        ends = [char.x1 for char in found.line.chars]
        assert ends == pytest.approx([char.x1 for char in upright[0].chars], abs=1)


def test_a_long_line_upside_down_is_read_in_pieces() -> None:
    picture = np.hstack([load_image(SAMPLES[1])] * 9)
    with Recognizer("zh", threads=1, turn="auto") as reader:
        upright, turned = reader.read([picture, np.ascontiguousarray(picture[::-1, ::-1])])
    assert upright.pieces > 1
    assert (turned.text, turned.pieces, turned.turned) == (upright.text, upright.pieces, 180)


def test_a_strip_too_tall_to_be_a_line_is_read_on_its_side() -> None:
    picture = np.hstack([load_image(SAMPLES[1])] * 4)
    assert picture.shape[1] > 32 * picture.shape[0]
    tall = [np.ascontiguousarray(np.rot90(picture, turns)) for turns in (1, 3)]
    with Recognizer("zh", threads=1) as reader:
        assert all(line.error for line in reader.read(tall, errors="return"))
        text = reader.read([picture])[0].text
    with Recognizer("zh", threads=1, turn="auto") as reader:
        lines = reader.read(tall)
        assert [(line.text, line.turned) for line in lines] == [(text, 90), (text, 270)]
        assert reader.inspect(tall[1]).line == lines[1]


def test_what_cannot_be_read_is_an_error_once() -> None:
    with Recognizer("zh", threads=1, turn="auto") as reader:
        good, bad = reader.read([SAMPLES[0], b"no picture"], errors="return")
        assert good.text
        assert bad.error
        with pytest.raises(ImageError):
            reader.read([b"no picture"])


def test_values_that_cannot_be() -> None:
    for option in ({"turn": "yes"}, {"turn": 180}, {"channels": "grb"}):
        with pytest.raises(CrnnError, match=next(iter(option))):
            Recognizer("digits", **option)  # type: ignore[arg-type]


def test_the_command(tmp_path: Path) -> None:
    upright, turned = tmp_path / "a.png", tmp_path / "b.png"
    cv2.imwrite(str(upright), picture := load_image(SAMPLES[1], "bgr"))
    cv2.imwrite(str(turned), rotated(picture, 180))
    command = ["zh", "--turn", "auto", "--json", str(upright), str(turned)]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["text"] == lines[1]["text"]
    assert [line.get("turned", 0) for line in lines] == [0, 180]
    assert CliRunner().invoke(main, [*command, "--page"]).exit_code == 2
