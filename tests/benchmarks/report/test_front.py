"""The picture of accuracy and time: who stands where, and what it shows to whom."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import pytest
from bench_reports import about, accuracy_row, full_report
from click.testing import CliRunner

from crnn_benchmarks.cli.bench import main
from crnn_benchmarks.harness.schema import Accuracy, DataSet, Report
from crnn_benchmarks.harness.stats import Interval
from crnn_benchmarks.report.drawing import name_points, new_figure
from crnn_benchmarks.report.front import data_sets, front_of, points, times
from crnn_runtime.errors import CrnnError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BOOKS = DataSet(name="books", lines=100, of=100, sha256="01" * 32)
SIGNS = DataSet(name="signs", lines=300, of=300, sha256="02" * 32)


def row(name: str, data: DataSet, exact: float, ratio: float, **changes: Any) -> Accuracy:  # noqa: ANN401
    found = dataclasses.replace(accuracy_row(name, exact, 0.01), data=data, ratio=about(ratio))
    return dataclasses.replace(found, **changes)


REPORT = dataclasses.replace(
    full_report(), latency=(), throughput=(), training=(),
    accuracy=(
        row("first", BOOKS, 0.8, 1), row("quick", BOOKS, 0.7, 0.5), row("letters", BOOKS, 0.9, 0.4),
        row("first", SIGNS, 0.9, 1), row("quick", SIGNS, 0.9, 0.7),
        row("letters", SIGNS, 0.2, 0.4, outside=200), row("poor", SIGNS, 0.5, 3),
    ),
)  # fmt: skip


def test_accuracies_are_averaged_and_times_weighted_by_lines() -> None:
    found = {point.name: point for point in points(REPORT, [BOOKS, SIGNS])}
    assert found.keys() == {"first", "quick"}  # letters lacks most signs, poor read no books
    assert found["quick"].right.value == pytest.approx(0.8)
    assert found["quick"].time.value == pytest.approx((100 * 0.5 + 300 * 0.7) / 400)
    low, high = found["quick"].right.bounds()
    assert high - low == pytest.approx(np.hypot(2 * 0.7 * 0.02, 2 * 0.9 * 0.02) / 2)
    assert [point.name for point in points(REPORT, [BOOKS])] == ["first", "quick", "letters"]
    assert times(REPORT, [BOOKS, SIGNS])["letters"].value == pytest.approx(0.4)


def test_times_are_compared_with_the_reader_that_is_asked_for() -> None:
    taken = times(REPORT, [BOOKS], "quick")
    assert (taken["quick"].value, taken["quick"].low) == (1.0, None)
    assert taken["first"].value == pytest.approx(2)
    assert taken["letters"].value == pytest.approx(0.8)
    assert taken["letters"].bounds()[1] > 0.8 * 1.05  # both errors
    with pytest.raises(CrnnError, match="choose from first, quick, letters"):
        times(REPORT, [BOOKS], "nobody")


def test_the_front_holds_those_that_none_beats_in_both() -> None:
    assert [p.name for p in front_of(points(REPORT, [SIGNS]))] == ["quick"]
    assert [p.name for p in front_of(points(REPORT, [BOOKS]))] == ["letters"]
    assert data_sets(REPORT) == [BOOKS, SIGNS]


def draw(tmp_path: Path, *options: str) -> Any:  # noqa: ANN401
    REPORT.write(tmp_path / "peers.json")
    return CliRunner().invoke(main, ["front", str(tmp_path / "peers.json"), *options])


def test_a_picture_has_every_reader_and_says_it_in_words_too(tmp_path: Path) -> None:
    out = tmp_path / "front.svg"
    result = draw(tmp_path, "--to", "first", "--panel", "Both=books,signs", "--out", str(out))
    assert result.exit_code == 0, result.output
    text = out.read_text()
    for said in ("first, 10.0 MB", "quick, 10.0 MB", ">Both<", "first = 1", "80.0% right"):
        assert said in text
    assert "letters" not in text
    assert draw(tmp_path, "--out", str(tmp_path / "each.png")).exit_code == 0
    assert cv2.imread(str(tmp_path / "each.png")).shape[0] > 1000  # two panels


def test_a_picture_is_dark_on_dark_machines(browser: "Browser", tmp_path: Path) -> None:
    assert draw(tmp_path, "--out", str(tmp_path / "front.svg")).exit_code == 0
    (tmp_path / "page.html").write_text('<img src="front.svg">')
    seen = {}
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        opened = browser.new_page(color_scheme=scheme)
        opened.goto((tmp_path / "page.html").as_uri())
        shot = opened.locator("img").screenshot()
        seen[scheme] = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_GRAYSCALE)
        opened.close()
    light, dark = seen["light"], seen["dark"]
    assert (np.median(light), np.median(dark)) == (255, pytest.approx(24, abs=4))
    assert (light < 90).sum() > 1000  # ink on paper
    assert (dark > 180).sum() > 1000  # and the reverse


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--panel", "Both=books,sings"), "'sings'"),
        (("--to", "nobody"), "'nobody'"),
        (("--out", "front.pdf"), ".svg"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    result = draw(tmp_path, *options)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.splitlines()) == 1


def test_sets_that_the_first_reader_failed_on_have_no_times() -> None:
    rows = tuple(r for r in REPORT.accuracy if (r.model.name, r.data) != ("first", SIGNS))
    report = dataclasses.replace(REPORT, accuracy=rows)
    assert times(report, [BOOKS, SIGNS]).keys() == set()
    assert points(report, [BOOKS, SIGNS]) == []
    assert {point.name for point in points(report, [BOOKS])} == {"first", "quick", "letters"}


def test_a_report_without_times_is_refused(tmp_path: Path) -> None:
    rows = tuple(dataclasses.replace(row, cpu=None, ratio=None) for row in REPORT.accuracy)
    Report.write(dataclasses.replace(REPORT, accuracy=rows), tmp_path / "a.json")
    result = CliRunner().invoke(main, ["front", str(tmp_path / "a.json")])
    assert result.exit_code == 2
    assert "crnn-bench peers" in result.output


def test_a_name_stands_off_the_line_and_nearest_to_its_own_point() -> None:
    figure = new_figure()
    axes = figure.axes[0]
    axes.set(xlim=(0, 10), ylim=(0, 10))
    points = {"left": (3.0, 5.0), "right": (4.0, 5.4), "far": (8.0, 5.0)}
    line = [(0.0, 5.0), (10.0, 5.0)]
    named = [(Interval(x), Interval(y), name) for name, (x, y) in points.items()]
    name_points(axes, named, line)
    assert {text.get_text() for text in axes.texts} == points.keys()
    at = {name: axes.transData.transform(point) for name, point in points.items()}
    for text in axes.texts:
        box = text.get_window_extent()
        away = {name: np.hypot(*(np.clip(p, box.min, box.max) - p)) for name, p in at.items()}
        assert min(away, key=lambda name: away[name]) == text.get_text()
        on_line = np.linspace(*map(axes.transData.transform, line), 500)
        assert not ((on_line > box.min) & (on_line < box.max)).all(1).any(), text.get_text()
