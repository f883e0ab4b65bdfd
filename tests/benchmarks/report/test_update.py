"""A few readers of a record measured anew: their times are brought to the record's pace."""

import dataclasses

import pytest
from bench_reports import MACHINE, about, accuracy_row, full_report
from refusals import refused

from crnn_benchmarks.harness.schema import Accuracy, Report
from crnn_benchmarks.harness.stats import Interval
from crnn_benchmarks.report.update import check_update, updated


def row(name: str, exact: float, cost: float, ratio: float) -> Accuracy:
    return dataclasses.replace(accuracy_row(name, exact, cost), ratio=about(ratio))


def peers_report(*rows: Accuracy) -> Report:
    first = dataclasses.replace(rows[0], ratio=Interval(1.0))
    return dataclasses.replace(
        full_report(), latency=(), throughput=(), training=(), accuracy=(first, *rows[1:])
    )


OLD = peers_report(
    row("yardstick", 0.9, 0.010, 1), row("ours", 0.8, 0.020, 2), row("theirs", 0.7, 0.040, 4)
)


def test_one_reader_is_replaced_and_its_time_is_brought_to_the_old_pace() -> None:
    # The machine is half as fast by now, and ours takes three yardsticks instead of two.
    new = peers_report(row("yardstick", 0.9, 0.020, 1), row("ours", 0.85, 0.060, 3))
    both = updated(OLD, new)
    yardstick, ours, theirs = both.accuracy
    assert (yardstick, theirs) == (OLD.accuracy[0], OLD.accuracy[2])
    assert ours.scores == new.accuracy[1].scores
    assert ours.cpu is not None
    assert ours.cpu.value == pytest.approx(0.030)
    assert ours.ratio == new.accuracy[1].ratio
    assert "ours" in both.notes[-1]
    assert Report.from_json(both.to_json()) == both


def test_a_reader_that_was_not_recorded_comes_last() -> None:
    new = peers_report(row("yardstick", 0.9, 0.020, 1), row("more", 0.85, 0.060, 3))
    names = [each.model.name for each in updated(OLD, new).accuracy]
    assert names == ["yardstick", "ours", "theirs", "more"]


def test_what_cannot_be_compared_is_refused_beforehand() -> None:
    first, data = OLD.accuracy[0].model, OLD.accuracy[0].data
    check_update(OLD, MACHINE, first, [data])
    elsewhere = dataclasses.replace(MACHINE, id="other")
    with refused("machine"):
        check_update(OLD, elsewhere, first, [data])
    with refused("--reader yardstick"):
        check_update(OLD, MACHINE, OLD.accuracy[1].model, [data])
    with refused("--update", data):
        check_update(OLD, MACHINE, first, [dataclasses.replace(data, sha256="00" * 32)])
    with refused("--update", "else"):
        check_update(OLD, MACHINE, first, [dataclasses.replace(data, name="else")])
