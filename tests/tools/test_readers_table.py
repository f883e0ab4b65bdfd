"""The readers beside their peers: README.md, docs/zoo.md and the picture say what is recorded."""

import dataclasses
import hashlib

import pytest
from refusals import refused

from crnn_benchmarks.harness.schema import Report
from crnn_benchmarks.harness.stats import Interval
from crnn_runtime.errors import CrnnError
from crnn_runtime.readers import reader_names, reader_path
from tools import readers_table

RECORDED = Report.read(readers_table.RECORDED)
README = readers_table.README.read_text("utf-8")
AGAIN = "record it anew with crnn-bench peers --update, see docs/benchmarks.md"


def test_what_is_recorded_are_the_readers_that_ship() -> None:
    recorded = {row.model.name: row.model.sha256 for row in RECORDED.accuracy}
    for name in recorded.keys() & set(reader_names()):
        file = reader_path(name)
        assert recorded[name] == hashlib.sha256(file.read_bytes()).hexdigest(), f"{name}: {AGAIN}"
    assert {"zh", "zh-large", "latin"} <= recorded.keys()


def test_every_set_was_read_whole_by_every_reader_without_a_failure() -> None:
    assert not [row.problem for row in RECORDED.accuracy if row.problem or row.unread]
    assert all(row.data.lines == row.data.of for row in RECORDED.accuracy)
    readers = {row.model.name for row in RECORDED.accuracy}
    assert readers == readers_table.figures(RECORDED).keys()
    assert "realdata" in RECORDED.command
    assert " /" not in RECORDED.command  # no path of a machine


def test_the_readme_and_its_picture_say_what_is_recorded() -> None:
    assert readers_table.filled(README, RECORDED) == README, "run python -m tools.zoo"
    assert f"about {readers_table.milliseconds(RECORDED):.0f} ms" in README
    drawn = readers_table.PICTURE.read_text("utf-8")
    assert readers_table.picture_is_of(RECORDED, drawn), "run python -m tools.zoo"


def test_other_figures_are_seen() -> None:
    row = next(row for row in RECORDED.accuracy if row.model.name == "zh")
    scores = {**row.scores, "exact_normalized": Interval(0.123)}
    worse = tuple(
        dataclasses.replace(row, scores=scores) if each is row else each
        for each in RECORDED.accuracy
    )
    other = dataclasses.replace(RECORDED, accuracy=worse)
    assert "/ 12.3 |" in readers_table.filled(README, other)
    assert not readers_table.picture_is_of(other, readers_table.PICTURE.read_text("utf-8"))


def test_a_row_of_a_reader_that_was_not_recorded_is_refused() -> None:
    with refused("'zh-huge'"):
        readers_table.filled(README.replace("| `zh-large`", "| `zh-huge`"), RECORDED)
    with pytest.raises(CrnnError, match="no table"):
        readers_table.filled("nothing", RECORDED)
