from pathlib import Path

import cv2
import pytest
from barcode import draw_barcode
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_reader import write_tiny_reader

from crnn.metrics import score
from crnn_benchmarks.cases.accuracy import intervals, measure_accuracy
from crnn_benchmarks.harness.datasets import load_lines
from crnn_benchmarks.harness.models import Subject
from crnn_benchmarks.report.worst import worst_page
from crnn_runtime.errors import CrnnError

WORDS = st.text("ab C１", max_size=6)


def silent(_: str) -> None:
    pass


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Twelve lines, two of them labelled wrongly and one a picture that is none."""
    folder = tmp_path / "some_digits"
    folder.mkdir()
    rows = []
    for number in range(12):
        text = str(10**number + number)
        cv2.imwrite(str(folder / f"{number}.png"), draw_barcode(text))
        rows.append(f"{number}.png\t{text if number > 1 else 'x' + text}\n")
    (folder / "bad.png").write_bytes(b"no picture")
    rows.append("bad.png\t55\n")
    (folder / "labels.tsv").write_text("".join(rows))
    return str(folder)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=12))
def test_figures_are_those_of_the_metrics_within_their_intervals(
    pairs: list[tuple[str, str]],
) -> None:
    truths, readings = zip(*pairs, strict=True)
    expected = score(truths, readings).to_dict()
    expected.pop("lines")
    found = intervals(truths, readings)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if "cer" in name and not any(truths):
            continue  # no character to be wrong: a rate of nothing
        assert found[name].value == pytest.approx(value, abs=1e-9) or not any(
            "".join(truth.split()) for truth in truths
        )


def test_a_reader_is_scored_with_its_data_set_and_its_lines(tmp_path: Path, data: str) -> None:
    subject = Subject(name="tiny.onnx", file=str(write_tiny_reader(tmp_path / "tiny.onnx")))
    with load_lines(data) as lines:
        (read,) = measure_accuracy([subject], [lines], silent, batch=4, threads=1)
        page = worst_page([read], 5)
    row = read.row
    assert str(row.data) == "some_digits, 13 lines"
    assert row.scores["exact"].value == pytest.approx(10 / 13)
    low, high = row.scores["exact"].bounds()
    assert low < 10 / 13 < high
    assert (row.outside, row.unread, row.differing, row.batch) == (2, 1, 0, 4)
    assert (row.precision, row.threads, row.model.trained) == ("fp32", 1, True)
    assert "some_digits, 13 lines: 3 read wrongly" in page
    assert "data:image/png;base64," in page
    assert "http:" not in page


def test_random_weights_cannot_be_scored(data: str) -> None:
    with load_lines(data) as lines, pytest.raises(CrnnError, match="random weights"):
        measure_accuracy([Subject(name="lite", arch="lite")], [lines], silent)


def test_a_reader_that_fails_is_a_row_and_the_next_is_read(tmp_path: Path, data: str) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    good = write_tiny_reader(tmp_path / "good.onnx")
    subjects = [Subject(name=path.name, file=str(path)) for path in (broken, good)]
    with load_lines(data) as lines:
        first, second = measure_accuracy(subjects, [lines], silent, threads=1)
        assert "nothing" not in worst_page([first], 5)
    assert "ONNX" in (first.row.problem or "")
    assert not first.row.scores
    assert second.row.problem is None
