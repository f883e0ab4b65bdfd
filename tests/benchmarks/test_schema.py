import dataclasses
import json
from pathlib import Path

import pytest
from bench_reports import MACHINE, about, accuracy_row, full_report

from crnn_benchmarks.harness.schema import SCHEMA, DataSet, Model, Report, ratio
from crnn_runtime.errors import CrnnError


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    report = full_report()
    report.write(tmp_path / "x.json")
    assert Report.read(tmp_path / "x.json") == report


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": SCHEMA + 1}, str(SCHEMA + 1)),
        ({"surprise": 1}, "'surprise'"),
        ({"machine": {"id": "x"}}, r"report\.machine .*'cpu'"),
        ({"commit": 5}, r"report\.commit .*5"),
        ({"latency": [{}]}, r"report\.latency\[0\] .*'model'"),
        ({"yardstick": {"value": 2.0, "low": 3.0, "high": 4.0}}, r"report\.yardstick"),
        ({"notes": "x"}, r"report\.notes"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], message: str) -> None:
    content = json.loads(full_report().to_json()) | change
    with pytest.raises(CrnnError, match=message):
        Report.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null"])
def test_other_json_is_no_report(text: str) -> None:
    with pytest.raises(CrnnError):
        Report.from_json(text)


def test_random_weights_have_no_accuracy() -> None:
    row = accuracy_row("x", 0.9, 0.01)
    with pytest.raises(CrnnError, match="random weights"):
        dataclasses.replace(row, model=dataclasses.replace(row.model, trained=False))
    assert "latency only" in Model(name="x", arch="x", trained=False).label


def test_such_an_accuracy_is_not_read_from_a_file_either() -> None:
    content = json.loads(full_report().to_json())
    content["accuracy"][0]["model"]["trained"] = False
    with pytest.raises(CrnnError, match="random weights"):
        Report.from_json(json.dumps(content))


@pytest.mark.parametrize(("name", "lines"), [("", 5), ("x", 0)])
def test_an_accuracy_needs_its_data_set_and_lines(name: str, lines: int) -> None:
    with pytest.raises(CrnnError, match="number of lines"):
        DataSet(name=name, lines=lines, of=lines, sha256="")


def test_a_sample_says_of_how_many() -> None:
    assert str(DataSet(name="x", lines=5, of=9, sha256="")) == "x, 5 of 9 lines"


def test_no_ratio_across_machines() -> None:
    other = dataclasses.replace(MACHINE, id="ba9876543210")
    assert ratio(about(2), MACHINE, about(1), MACHINE) == 2
    with pytest.raises(CrnnError, match="two machines"):
        ratio(about(2), MACHINE, about(1), other)
