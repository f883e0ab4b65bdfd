import dataclasses
import shutil
import sys
from pathlib import Path

import pytest
from barcode import write_labelled
from bench_reports import MACHINE, full_report
from click.testing import CliRunner, Result
from refusals import assert_usage_error
from tiny_reader import write_tiny_reader

from crnn_benchmarks.cli.bench import CASES, main
from crnn_benchmarks.harness.schema import Report
from crnn_benchmarks.harness.stats import Interval


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    return write_tiny_reader(tmp_path / "tiny.onnx")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_labelled(tmp_path / "some_digits", "012345", ".jpg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["latency"], "--arch"),
        (["latency", "nothing.onnx"], "nothing.onnx"),
        (["latency", "--arch", "alexnet"], "'alexnet'"),
        (["latency", "--arch", "lite", "--batch", "1,x"], "'1,x'"),
        (["latency", "--arch", "lite", "--batch", "0"], "'0'"),
        (["latency", "--arch", "lite", "--out", "x.txt"], ".json"),
        (["latency", "--arch", "lite", "--out", "no/x.json"], "no/x.json"),
        (["latency", "--arch", "lite", "--alphabet", "gone.txt"], "gone.txt"),
        (["throughput", "--arch", "lite", "--data", "gone"], "gone"),
        (["accuracy", "digits", "gone"], "gone"),
        (["peers", "--peer", "easyocr", "x"], "'easyocr'"),
        (["peers"], "DATA"),
        (["peers", "x", "--update", "gone.json"], "--update"),
        (["report", "gone.json"], "gone.json"),
        (["train", "--arch", "alexnet"], "'alexnet'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_a_command(name: str) -> None:
    assert run(name, "--help").exit_code == 0
    assert name in run("--help").output


@pytest.mark.slow
def test_latency_writes_three_files_and_says_what_failed(reader: Path) -> None:
    result = run(
        "latency", reader, "--backend", "onnxruntime", "--backend", "tensorrt",
        "--precision", "fp32", "--batch", "1", "--width", "64", "--threads", "1",
        "--rounds", "4", "--seconds", "0.1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    report = Report.read(Path("latency.json"))
    good, bad = report.latency
    assert good.problem is None
    assert bad.problem
    for text in (Path("latency.md").read_text(), Path("latency.html").read_text()):
        assert "tiny.onnx" in text
        assert report.machine.id in text
        assert "Not measured" in text


def test_throughput_of_a_folder(reader: Path, data: Path) -> None:
    result = run("throughput", reader, "--data", data, "--rounds", "4", "--seconds", "0.2")
    assert result.exit_code == 0, result.output
    rows = Report.read(Path("throughput.json")).throughput
    assert [(row.batch, row.pictures, row.data) for row in rows] == [
        (1, 6, "some_digits"),
        (16, 6, "some_digits"),
    ]
    assert all(row.rate is not None and row.rate.value > 1 for row in rows)


def test_accuracy_is_printed_with_its_data_set_and_its_lines(reader: Path, data: Path) -> None:
    result = run("accuracy", reader, data, "synth:digits:all:3", "--threads", "1", "--worst", "2")
    assert result.exit_code == 0, result.output
    assert "Accuracy on some_digits, 6 lines" in result.output
    assert "Accuracy on synth:digits:all:3:77000001, 3 lines" in result.output
    assert "0 of 6 at 16" in result.output
    assert "<img" in Path("accuracy-worst.html").read_text()
    assert "<img" not in Path("accuracy.html").read_text()  # shows no picture of the data
    scores = Report.read(Path("accuracy.json")).accuracy[0].scores
    assert scores["exact"].value == 1


def test_sets_and_readers_of_one_name_are_told_apart(reader: Path, data: Path) -> None:
    names = []
    for folder in ("one", "two"):
        names += [Path(folder, reader.name), Path(folder, data.name)]
        shutil.copytree(data, names[-1])
        shutil.copy(reader, names[-2])
    result = run("accuracy", names[0], names[1], names[3], "--model", names[2])
    assert result.exit_code == 0, result.output
    rows = Report.read(Path("accuracy.json")).accuracy
    found = {(row.model.name, row.data.name) for row in rows}
    assert found == {(str(names[a]), str(names[b])) for a in (0, 2) for b in (1, 3)}


def test_a_missing_plotter_is_told_before_anything_is_measured(
    reader: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("accuracy", reader, data)
    assert result.exit_code == 2
    assert "matplotlib" in result.stderr
    assert "bench" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_peers_that_are_missing_do_not_end_the_run(reader: Path, data: Path) -> None:
    result = run(
        "peers", data, "--peer", "rapidocr", "--peer", "ddddocr", "--python", "ddddocr=/no/python",
        "--reader", reader, "--limit", "4",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    ours, rapid, dddd = Report.read(Path("peers.json")).accuracy
    assert "--prepare" in (rapid.problem or "")
    assert "/no/python" in (dddd.problem or "")
    assert str(ours.data) == "some_digits, 4 of 6 lines"
    assert ours.scores["exact_normalized"].value == 1
    assert ours.ratio == Interval(1.0)
    page = Path("peers.html").read_text()
    assert "dashed front" not in page  # one reader alone
    assert "/no/python" in page
    again = run("peers", data, "--update", "peers.json", "--limit", "4",
                "--reader", reader, "--reader", "digits")  # fmt: skip
    assert again.exit_code == 0, again.output
    rows = Report.read(Path("peers.json")).accuracy
    assert [row.model.name for row in rows] == ["tiny.onnx", "rapidocr", "ddddocr", "digits"]
    assert rows[0] == ours
    other = run("peers", data, "--update", "peers.json", "--reader", "digits")
    assert_usage_error(other, "--reader tiny.onnx")


def test_reports_are_shown_compared_and_joined() -> None:
    report = full_report()
    report.write(Path("a.json"))
    dataclasses.replace(report, machine=dataclasses.replace(MACHINE, id="else")).write(
        Path("c.json")
    )
    report.write(Path("b.json"))
    assert run("report", "a.json").exit_code == 0
    assert Path("a.html").is_file()
    assert Path("a.md").is_file()
    compared = run("report", "a.json", "b.json")
    assert compared.exit_code == 0
    assert "0 of" in compared.output
    assert run("report", "a.json", "b.json", "--out", "ab.html").exit_code == 0
    assert Path("ab.html").is_file()
    assert "no ratio" in run("report", "a.json", "c.json").output
    assert run("report", "a.json", "b.json", "--join", "--out", "j.html").exit_code == 0
    refused = run("report", "a.json", "c.json", "--join")
    assert refused.exit_code == 2
    assert "two machines" in refused.output


@pytest.mark.slow
def test_training_steps_are_timed() -> None:
    result = run(
        "train", "--arch", "lite", "--alphabet", "digits", "--batch", "2", "--width", "96",
        "--threads", "1", "--rounds", "4", "--seconds", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (row,) = Report.read(Path("train.json")).training
    assert row.problem is None
    assert row.rate is not None
    assert row.rate.value > 1
    assert row.model.classes == 11
    assert "random" in Path("train.md").read_text()


def test_pictures_may_lie_in_images_as_training_has_them(reader: Path, data: Path) -> None:
    (data / "images").mkdir()
    for picture in data.glob("*.jpg"):
        picture.rename(data / "images" / picture.name)
    result = run("accuracy", reader, data, "--worst", "0", "--threads", "1")
    assert result.exit_code == 0, result.output
    assert Report.read(Path("accuracy.json")).accuracy[0].data.lines == 6


def test_a_run_that_measured_nothing_says_so_by_its_status(data: Path) -> None:
    Path("bare.trt").write_bytes(b"ftrt" + bytes(60))  # an engine without its sidecar
    result = run("accuracy", "bare.trt", data, "--worst", "0")
    assert result.exit_code == 1
    assert "Not measured" in result.output


def test_a_report_with_other_figures_is_refused_and_one_without_common_ones_told(
    reader: Path, data: Path
) -> None:
    assert run("accuracy", reader, data, "--worst", "0", "--out", "a.json").exit_code == 0
    assert run("accuracy", reader, data, "--worst", "0", "--limit", "5", "--out", "b.json")
    text = Path("a.json").read_text("utf-8")
    Path("c.json").write_text(text.replace('"exact"', '"exakt"'), "utf-8")
    refused = run("report", "c.json")
    assert refused.exit_code == 2
    assert "'exact'" in refused.output
    assert "No figure in common" in run("report", "a.json", "b.json").output
