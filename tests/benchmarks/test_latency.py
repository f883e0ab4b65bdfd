import dataclasses
from pathlib import Path

import onnx
import pytest
from tiny_reader import tiny_card, tiny_model, write_tiny_reader

from crnn_benchmarks.cases.latency import LatencyCase, Point, measure_latency, points
from crnn_benchmarks.harness import worker
from crnn_benchmarks.harness.backends import Opened, open_subject
from crnn_benchmarks.harness.inputs import write_pictures
from crnn_benchmarks.harness.models import Subject
from crnn_benchmarks.harness.schema import STAGES, Latency, Report
from crnn_benchmarks.harness.stats import Interval
from crnn_benchmarks.harness.timing import Plan, workers
from crnn_benchmarks.report.compare import compare


def silent(_: str) -> None:
    pass


def tiny(folder: Path, name: str = "tiny.onnx") -> Subject:
    return Subject(name=name, file=str(write_tiny_reader(folder / name)))


def base(**changes: object) -> Point:
    fields = {"backend": "onnxruntime", "precision": "fp32", "batch": 1, "width": 64, "threads": 1}
    return Point(**{**fields, **changes})  # type: ignore[arg-type]


def report_of(rows: list[Latency], yardstick: Interval | None) -> Report:
    from bench_reports import MACHINE

    return Report(
        command="x", created="", commit="", machine=MACHINE, versions={}, yardstick=yardstick,
        latency=tuple(rows),
    )  # fmt: skip


def test_each_axis_is_varied_from_the_base() -> None:
    chosen = points(["onnxruntime", "torch"], ["fp32", "int8"], [1, 8], [280], [1, 2])
    assert chosen[0] == base(width=280)
    assert set(chosen[1:]) == {
        base(width=280, backend="torch"), base(width=280, precision="int8"),
        base(width=280, batch=8), base(width=280, threads=2),
    }  # fmt: skip


def test_a_grid_has_all_that_runs() -> None:
    chosen = points(["onnxruntime", "torch"], ["fp32", "int8"], [1, 8], [280], [1], grid=True)
    assert len(chosen) == len(set(chosen)) == 6  # PyTorch has no int8 here
    assert base(width=280, precision="int8", batch=8) in chosen


def test_a_precision_that_was_asked_for_alone_is_not_dropped_in_silence() -> None:
    assert points(["torch"], ["int8"], [1], [280], [1])[0].precision == "int8"


@pytest.mark.parametrize(("backend", "opened"), [("tensorrt", 3), ("onnxruntime", 1)])
def test_an_engine_is_opened_for_each_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, opened: int
) -> None:
    """It replays a few shapes as graphs only; other backends serve all with one."""
    subject = tiny(tmp_path)
    given = []

    def open_one(subject: Subject, backend: str, precision: str, threads: int) -> Opened:
        given.append(backend)
        return open_subject(subject, "onnxruntime", precision, threads)

    monkeypatch.setattr(worker, "open_subject", open_one)
    pictures = write_pictures(tmp_path, 64, 2)
    asked = {"subject": dataclasses.asdict(subject), "backend": backend, "precision": "fp32",
             "threads": 1, "warmup": 1}  # fmt: skip
    one = worker.Worker()
    for count, width in ((1, 64), (1, 128), (2, 64), (2, 64)):
        one.open(
            {**asked, "case": f"{count} {width}", "pictures": pictures[:count], "width": width}
        )
    assert given == [backend] * opened


CHOSEN = [base(), base(width=2048, batch=4)]


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Report]:
    """The same command twice."""
    return _measure_twice(tiny(tmp_path_factory.mktemp("latency")))


def _measure_twice(subject: Subject) -> list[Report]:
    reports = []
    for _ in range(2):
        rows, peaks, yardstick = measure_latency([subject], CHOSEN, Plan(20, 3), silent)
        assert peaks[0].flops > 1e9
        reports.append(report_of(rows, yardstick))
    return reports


@pytest.mark.slow
def test_two_runs_agree_within_their_intervals(two_runs: list[Report], tmp_path: Path) -> None:
    # Other work may begin between two runs; intervals that are too narrow fail every time.
    for attempt in range(4):
        changes = compare(*(_measure_twice(tiny(tmp_path)) if attempt else two_runs))
        assert len(changes) == 2 * len(CHOSEN)
        moved = [change for change in changes if change.moved]
        if not moved:
            return
    raise AssertionError(moved)


@pytest.mark.slow
def test_every_stage_is_timed(two_runs: list[Report]) -> None:
    for row in two_runs[0].latency:
        assert row.problem is None
        assert tuple(row.stages) == STAGES
        assert row.total is not None
        assert row.total.runs >= 20
        assert row.model.trained
        assert row.model.sha256
    weighed = [row.memory > 10**7 for row in two_runs[0].latency]
    assert weighed == [True, False]  # the base's geometry alone


@pytest.mark.slow
def test_a_difference_that_is_there_is_marked(two_runs: list[Report]) -> None:
    first, second = two_runs
    light, heavy = first.latency[0], second.latency[1]
    disguised = dataclasses.replace(heavy, width=light.width, batch=light.batch)
    changes = compare(first, dataclasses.replace(second, latency=(disguised,)))
    assert len(changes) == 2
    assert all(change.moved and change.ratio is not None and change.ratio > 3 for change in changes)


def test_what_fails_has_a_row_that_says_why_and_the_rest_is_measured(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"this is no model")
    # Loads, and fails on its first line.
    model = tiny_model()
    model.graph.node[-2].attribute.append(onnx.helper.make_attribute("noop_with_empty_axes", 1))
    reshape = onnx.helper.make_node("Reshape", ["images", "height"], ["useless"])
    model.graph.node.append(reshape)
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("useless", onnx.TensorProto.FLOAT, ["q"])
    )
    failing = tmp_path / "failing.onnx"
    onnx.helper.set_model_props(model, {"crnn.card": tiny_card().to_json()})
    onnx.save(model, failing)
    subjects = [
        Subject(name="broken", file=str(broken)),
        tiny(tmp_path),
        Subject(name="failing", file=str(failing)),
    ]
    chosen = [base(), base(backend="onnxruntime-cuda"), base(backend="tensorrt"),
              base(backend="torch")]  # fmt: skip
    rows, _, _ = measure_latency(subjects, chosen, Plan(4, 0.2), silent)
    found = {(row.model.name, row.backend): row for row in rows}
    assert found["tiny.onnx", "onnxruntime"].problem is None
    assert "ONNX" in (found["broken", "onnxruntime"].problem or "")
    cuda = found["tiny.onnx", "onnxruntime-cuda"].problem
    assert cuda is None or "CUDA" in cuda or "cuda" in cuda
    assert "no checkpoint" in (found["tiny.onnx", "torch"].problem or "")
    assert all(row.problem is None or row.total is None for row in rows)


def test_a_worker_that_dies_costs_only_the_case_that_killed_it(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path, 64, 1)
    subject = tiny(tmp_path)
    with workers() as crew:
        case = LatencyCase(crew, subject, base(), pictures)
        case.open()
        case.run(2)
        child = crew._children["onnxruntime"]._process
        child.kill()
        child.wait()
        case.run(2)  # is loaded again, in another process
        assert [len(times) for times in case.totals] == [2, 2]
        assert case.row().problem is None


@pytest.mark.slow
def test_random_weights_are_labelled_and_checkpoints_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lite = Subject(name="lite", arch="lite", alphabet="digits")
    chosen = [base(width=96), base(width=96, backend="torch"), base(width=96, precision="int8")]
    rows, _, _ = measure_latency([lite], chosen, Plan(4, 0.5), silent)
    assert [row.problem for row in rows] == [None] * 3
    assert not any(row.model.trained for row in rows)
    assert all("latency only" in row.model.label for row in rows)
    assert all(row.flop > 1e7 and row.traffic > 1e6 for row in rows)
    assert rows[0].model.size > rows[2].model.size > 0
    assert rows[1].model.size == 0
    assert len(list((tmp_path / "crnn" / "bench").glob("lite-*.onnx"))) == 2
