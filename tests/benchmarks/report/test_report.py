import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from bench_reports import ARCHS, MACHINE, about, full_report, latency_row
from hypothesis import given
from hypothesis import strategies as st

from crnn_benchmarks.harness.schema import Report
from crnn_benchmarks.harness.stats import Interval
from crnn_benchmarks.report.compare import compare, comparison_html, comparison_markdown, joined
from crnn_benchmarks.report.front import pareto_front
from crnn_benchmarks.report.html import to_html
from crnn_benchmarks.report.markdown import to_markdown
from crnn_benchmarks.report.plots import plots
from crnn_benchmarks.report.summary import summary, title
from crnn_benchmarks.report.tables import NONE, number, tables
from crnn_runtime.errors import CrnnError

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def only_latency(seconds: float, **changes: object) -> Report:
    rows = (latency_row("lite", seconds),)
    empty = dataclasses.replace(full_report(), latency=rows, throughput=(), accuracy=(),
                                training=(), peaks=())  # fmt: skip
    return dataclasses.replace(empty, **changes)  # type: ignore[arg-type]


def test_markdown_says_where_it_was_measured_and_what_may_not_be_left_out() -> None:
    text = to_markdown(full_report())
    for fact in ("Testing CPU", "abcdef", "python 3.11", "crnn-bench everything", "made up"):
        assert fact in text
    assert "Accuracy on some_lines, 178 of 200 lines" in text
    assert "no <GPU> here" in text
    for row in re.findall(r"^\| alpha.*$", text, re.MULTILINE):
        assert row.startswith(
            ("| alpha\u2009*", "| alpha | fp32 | 8")
        )  # training steps, random too
    assert text.count("Random weights: these models read nothing") >= 3


def test_every_table_is_rectangular() -> None:
    for table in tables(full_report()):
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_one_picture_shows_all_models() -> None:
    (overview,) = [
        plot for plot in plots(full_report()) if plot.title == "How long does a line take?"
    ]
    for arch in ARCHS:
        assert f"{arch}\u2009*" in overview.svg
    assert "latency only" in overview.caption


def test_the_page_needs_nothing_else() -> None:
    page = to_html(full_report())
    assert page.count("<svg") == 6
    assert "<script" not in page
    assert "no &lt;GPU&gt; here" in page
    # Names of XML vocabularies are not addresses of anything that is loaded.
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'#)>\s]+)""", page)
    assert {link for link in links if not link.startswith("data:")} == set()


def test_the_same_figures_make_the_same_page() -> None:
    assert to_html(full_report()) == to_html(full_report())


def test_a_report_of_one_kind_has_its_page_too() -> None:
    report = full_report()
    kinds = {"latency": (), "throughput": (), "accuracy": (), "training": ()}
    for kind in kinds:
        one = dataclasses.replace(report, **{**kinds, kind: getattr(report, kind)})
        assert "<table>" in to_html(one)
    assert "<h1>" in to_html(dataclasses.replace(report, **kinds))


points = st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 1)), min_size=1, max_size=20)


@given(points)
def test_none_beats_one_on_the_front_and_one_on_it_beats_or_equals_every_other(
    pairs: list[tuple[float, float]],
) -> None:
    front = pareto_front(pairs)
    for n, (cost, gain) in enumerate(pairs):
        better = [m for m in front if pairs[m][0] <= cost and pairs[m][1] >= gain]
        assert better
        if n in front:
            assert all(pairs[m] == (cost, gain) for m in better)


def test_what_moved_beyond_noise_is_marked() -> None:
    before = only_latency(0.010)
    same, slower = only_latency(0.0101), only_latency(0.013)
    assert not any(change.moved for change in compare(before, same))
    assert all(change.moved for change in compare(before, slower))
    text = comparison_markdown(before, slower, ("a.json", "b.json"))
    assert "1.30 ×" in text
    assert "2 of 2" in text
    assert "class=moved" in comparison_html(before, slower, ("a.json", "b.json"))


def test_a_machine_that_was_slower_altogether_moved_nothing() -> None:
    before = only_latency(0.010)
    slower = only_latency(0.013, yardstick=about(0.0013))
    assert not any(change.moved for change in compare(before, slower))


def test_figures_of_two_machines_are_never_divided() -> None:
    elsewhere = only_latency(0.1, machine=dataclasses.replace(MACHINE, id="other"))
    changes = compare(only_latency(0.010), elsewhere)
    assert [(change.ratio, change.moved) for change in changes] == [(None, False)] * 2
    text = comparison_markdown(only_latency(0.01), elsewhere, ("a", "b"))
    assert "no ratio" in text
    assert "×" not in text.partition("Moved:")[0].replace("1 × 280", "")
    with pytest.raises(CrnnError, match="two machines"):
        joined([only_latency(0.010), elsewhere])


def test_accuracies_are_compared_on_the_same_lines_alone() -> None:
    report = full_report()
    assert not any(change.moved for change in compare(report, report))
    row = report.accuracy[0]
    scores = {name: about(value.value * 0.7, 0.02) for name, value in row.scores.items()}
    worse = dataclasses.replace(row, scores=scores)
    moved = [
        change.what
        for change in compare(report, dataclasses.replace(report, accuracy=(worse,)))
        if change.moved
    ]
    assert len(moved) == 6
    other = dataclasses.replace(worse, data=dataclasses.replace(row.data, sha256="ef" * 32))
    compared = compare(report, dataclasses.replace(report, accuracy=(other,)))
    assert not any("exact" in change.what for change in compared)


def test_reports_of_one_machine_can_be_joined() -> None:
    both = joined([only_latency(0.01), full_report()])
    assert len(both.latency) == 1 + len(full_report().latency)
    assert len(both.peaks) == 2
    assert len(both.accuracy) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Interval(1.234, 1.1, 1.4), "1.23 [1.10, 1.40]"),
        (Interval(12.34, 11, 14), "12.3 [11.0, 14.0]"),
        (Interval(1234.4, 1111, 1400), "1234 [1111, 1400]"),
        (Interval(5.0), "5.00"),
        (None, NONE),
    ],
)
def test_figures_have_the_digits_they_bear(value: Interval | None, text: str) -> None:
    assert number(value) == text


def test_a_browser_shows_the_page(browser: "Browser", tmp_path: Path) -> None:
    import cv2

    page = tmp_path / "report.html"
    page.write_text(to_html(full_report()), "utf-8")
    shot = tmp_path / "report.png"
    opened = browser.new_page(viewport={"width": 1250, "height": 5200}, offline=True)
    opened.goto(page.as_uri())
    opened.screenshot(path=shot)
    opened.close()
    picture = cv2.imread(str(shot))
    assert picture is not None
    assert picture.shape == (5200, 1250, 3)
    # The colours of the plots are there: a page whose pictures are refused has none of them.
    blue = (abs(picture.astype(int) - (0xB4, 0x77, 0x1F)).max(axis=2) < 12).sum()
    assert blue > 500


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_does_not_scroll_sideways(
    tmp_path: Path, browser: "Browser", scheme: Literal["light", "dark"]
) -> None:
    name = dataclasses.replace(full_report().accuracy[0].data, name="recipe:" + 60 * "x")
    rows = [dataclasses.replace(row, data=name) for row in full_report().accuracy]
    report = dataclasses.replace(full_report(), accuracy=tuple(rows))
    page = tmp_path / "report.html"
    page.write_text(to_html(report), "utf-8")
    inside = "[...document.querySelectorAll('.wide')].map(x => x.scrollWidth - x.clientWidth)"
    colours = """['body', 'figure text', 'td'].map(name => {
        const style = getComputedStyle(document.querySelector(name));
        return name === 'figure text' ? style.fill : style.color;
    }).concat(getComputedStyle(document.body).backgroundColor)"""
    for width in (1280, 390):
        opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.goto(page.as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert set(opened.evaluate(inside)) == {0}  # nor does a table within the page
        *inks, paper = map(brightness, opened.evaluate(colours))
        assert all((ink > 150) == (scheme == "dark") for ink in inks)
        assert (paper < 60) == (scheme == "dark")
        opened.close()


def brightness(colour: str) -> float:
    """Returns the brightness of ``rgb(27, 27, 27)`` and the like."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_a_page_says_first_what_it_found() -> None:
    page = to_html(full_report())
    said = page[page.index("<body>") : page.index("<svg")]
    assert "cheap and good, dear and better and dear and bad read some_lines" in said
    assert "Testing CPU, 2 CPUs, 8 GiB, no GPU" in said
    assert "dear and better reads most lines exactly right, 95.0 [93.1, 96.9] %" in said
    assert "cheap and good is the quickest and reads 90.0 [88.2, 91.8] % in 0.20" in said
    assert "none beats cheap and good and dear and better in both" in said
    assert "meet its own" not in said
    alike = [dataclasses.replace(row, scores=full_report().accuracy[1].scores)
             for row in full_report().accuracy]  # fmt: skip
    told = summary(dataclasses.replace(full_report(), accuracy=tuple(alike)))
    assert any("the intervals of dear and better and dear and bad meet its own" in s for s in told)


def test_an_accuracy_without_times_is_summed_up_set_by_set() -> None:
    rows = tuple(dataclasses.replace(row, cpu=None) for row in full_report().accuracy)
    report = dataclasses.replace(full_report(), accuracy=rows, latency=(), throughput=(),
                                 training=())  # fmt: skip
    assert title(report) == "3 readers: how many lines are read right"
    assert "by dear and better on some_lines (95.0 [93.1, 96.9] %)" in summary(report)[-1]
    (picture,) = plots(report)
    assert picture.title == "How many lines are read right?"
    assert "some_lines, dear and better" in picture.svg
    nothing = dataclasses.replace(report, accuracy=())
    assert title(nothing) == "Nothing was measured"
    assert len(summary(nothing)) == 1


def test_columns_in_which_no_row_has_anything_are_left_out() -> None:
    full = full_report()
    rows = tuple(dataclasses.replace(row, batch=0, seconds=None, memory=0) for row in full.accuracy)
    (found,) = [
        table
        for table in tables(dataclasses.replace(full, accuracy=rows))
        if "Accuracy" in table.title
    ]
    assert {"differs in batches", "ms a line", "peak MB"}.isdisjoint(found.head)
    assert all(any(row[n] != NONE for row in found.rows) for n in range(len(found.head)))


def test_a_browser_lays_the_page_out_without_anything_spilling(
    tmp_path: Path, browser: "Browser"
) -> None:
    """Nothing is wider than the page, and no two labels beside an axis overlap."""
    measure = """() => {
      const body = document.documentElement;
      const boxes = [...document.querySelectorAll('figure svg')].map(svg => {
        const texts = [...svg.querySelectorAll('text')].map(t => t.getBoundingClientRect());
        let overlaps = 0;
        texts.forEach((a, i) => texts.slice(i + 1).forEach(b => {
          const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
          if (x > 2 && y > 4) overlaps += 1; }));
        const frame = svg.getBoundingClientRect();
        const out = texts.filter(t => t.right > frame.right + 1 || t.left < frame.left - 1).length;
        return overlaps + '/' + out; });
      return [body.scrollWidth <= body.clientWidth, ...boxes];
    }"""
    page = tmp_path / "measured.html"
    page.write_text(to_html(full_report()), "utf-8")
    opened = browser.new_page(viewport={"width": 1250, "height": 3000})
    opened.goto(page.as_uri())
    fits, *figures = opened.evaluate(measure)
    opened.close()
    assert fits is True
    assert figures == ["0/0"] * 6
