"""The GPU check: refuses without a GPU, and its report holds what was measured."""

import dataclasses
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from barcode import draw_barcode
from fake_cuda import FakeCuda, stand_in
from tiny_reader import write_tiny_reader

from crnn_runtime import CrnnError
from crnn_runtime.backends import open_backend
from crnn_runtime.backends.cuda_device import device_count
from tools.gpu import check, first, models
from tools.gpu.check import environment, is_good, main
from tools.gpu.models import Candidate, draw_samples, measure, time_shapes, warm_up
from tools.gpu.report import Reading, Report, Timing, to_markdown
from tools.gpu.results import ContextCost, First, ShapeTimes, Traffic
from tools.gpu.suites import ROOT, SLOW_SUITES, SUITES, Suite, run_suite


@pytest.mark.skipif(device_count() > 0, reason="this machine has a GPU")
def test_without_a_gpu_it_says_why_in_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "report.md"), "--log", str(tmp_path / "log")]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "driver" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options", [["--lines", "0"], ["--minutes", "-1"], ["--flavour", "trt"], ["--lines", "many"]]
)
def test_options_that_make_no_sense_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(options)
    assert refused.value.code == 2


def test_models_are_compared_with_the_first_one_and_with_the_labels(tmp_path: Path) -> None:
    path = write_tiny_reader(tmp_path / "x.onnx")
    samples = [
        (np.repeat(draw_barcode(text)[:, :, None], 3, axis=2), label)
        for text, label in [("0123", "0123"), ("42", "42"), ("7", "8")]
    ]

    def refuse() -> tuple[Path, str]:
        raise CrnnError("TensorRT is not installed")

    def crash() -> tuple[Path, str]:
        raise ZeroDivisionError("of\nours")

    candidates = [
        Candidate("reference", "cpu", lambda: (path, "here")),
        Candidate("other", "cpu", lambda: (path, "")),
        Candidate("failed", "cuda", refuse),
        Candidate("broken", "cuda", crash),
        Candidate("gone", "cpu", lambda: (tmp_path / "gone.onnx", "")),
    ]
    told: list[int] = []
    readings, timings = measure(candidates, samples, tell=lambda found, _: told.append(len(found)))
    assert readings[:4] == [
        Reading("reference", 3, 3, 2, "here"),
        Reading("other", 3, 3, 2),
        Reading("failed", note="TensorRT is not installed"),
        Reading("broken", note="ZeroDivisionError: of ours"),
    ]
    assert readings[4].lines == 0
    assert "no such file" in readings[4].note
    assert timings == []
    assert told == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]  # each is announced before it may crash


def test_what_is_not_begun_in_time_is_left_out(tmp_path: Path) -> None:
    path = write_tiny_reader(tmp_path / "x.onnx")
    samples = [(np.zeros((32, 64, 3), np.uint8), "")]
    readings, _ = measure([Candidate("late", "cpu", lambda: (path, ""))], samples, deadline=0)
    assert readings == [Reading("late", note="left out: the time is up")]
    assert run_suite(SUITES[0], tmp_path / "log", 0) == (None, "left out: the time is up")
    assert not (tmp_path / "log").exists()
    assert list(time_shapes("late", lambda: open_backend(path), [(1, 32)], 0.01, 0)) == []


def test_a_shape_is_timed_until_there_is_enough(tmp_path: Path) -> None:
    path = write_tiny_reader(tmp_path / "x.onnx")
    timings = list(time_shapes("tiny", lambda: open_backend(path), [(1, 32), (4, 128)], 0.01))
    assert [(timing.batch, timing.width) for timing in timings] == [(1, 32), (4, 128)]
    for timing in timings:
        assert timing.calls >= 10
        assert 0 < timing.p50 <= timing.p95


def test_the_page_holds_every_figure() -> None:
    page = to_markdown(
        Report(
            {"GPU": "a | b"},
            missing={"TensorRT": ("not installed", "engines")},
            tests={"engines": "3 passed"},
            first=First(
                contexts=[ContextCost(0.0123, 5_000_000, 7_000_000)],
                shapes=[ShapeTimes(8, 320, (0.9, 0.8, 0.7, 0.6, 0.5), 0.001)],
                traffic=[Traffic(1397, 2.0, (3, 4))],
                threads="all is well",
                problems=[("first calls", "too late")],
            ),
            problems=[("the engine", "not built")],
            lines="Some lines",
            readings=[
                Reading("engine fp32", 2000, 1999, 1500, "good"),
                Reading("engine int8", note="bad"),
            ],
            timings=[Timing("engine fp32", 8, 320, 100, 0.0005, 0.002)],
        )
    )
    assert "a \\| b" in page
    for row in (
        "| TensorRT | not installed | engines |",
        "| engines | 3 passed |",
        "| 1 | 12.3 | 5.0 | 7.0 |",
        "| 8 | 320 | 900.000 | 800.000 | 700.000 | 600.000 | 500.000 | 1.000 |",
        "| 1397 | 2.00 | 698 | 3, 4 |",
        "- first calls: too late",
        "- the engine: not built",
    ):
        assert row in page
    assert "all is well" in page
    assert "Some lines; *equal*" in page
    assert "| engine fp32 | 2000 | 99.95% | 75.00% | good |" in page
    assert "| engine int8 | 0 | not measured | not measured | bad |" in page
    assert "| engine fp32 | 8 | 320 | 100 | 0.500 | 2.000 | 16,000 |" in page


@pytest.mark.parametrize(
    ("exact", "reduced", "good"), [(1998, 1, True), (1997, 2000, False), (2000, 0, False)]
)
def test_engines_must_read_and_float32_exactly(exact: int, reduced: int, good: bool) -> None:
    readings = [
        Reading("ONNX fp32, CUDA", note="the provider is missing"),
        Reading("engine fp32", 2000, exact),
        Reading("engine int8", 2000 if reduced else 0, reduced),
    ]
    assert is_good(readings) == good


def test_engines_that_a_gpu_cannot_run_count_for_nothing_but_one_must_read() -> None:
    impossible = Reading("engine fp32", possible=False)
    assert is_good([impossible, Reading("engine fp16", 2000, 1)])
    assert not is_good([impossible, Reading("engine fp16")])
    assert not is_good([impossible])
    assert not is_good([])


@pytest.mark.parametrize(
    ("missing", "threads", "reads", "status"),
    [
        ([], "all is well", True, 0),
        (["ONNX Runtime CUDA", "PyTorch CUDA"], "all is well", True, 0),
        (["reduction"], "all is well", True, 1),
        ([], "FAILED: it did not end", True, 1),
        ([], "all is well", False, 1),
    ],
)
def test_the_exit_status_tells_whether_all_is_well(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: list[str],
    threads: str,
    reads: bool,
    status: int,
) -> None:
    lines = 2000 * reads
    monkeypatch.setattr(check, "find_missing", lambda: dict.fromkeys(missing, "not here"))
    monkeypatch.setattr(check, "run_suite", lambda *_: (True, "passed"))
    monkeypatch.setattr(models, "make_first", lambda *_: (tmp_path, tmp_path))
    monkeypatch.setattr(first, "measure_first", lambda *_: First(threads=threads))
    monkeypatch.setattr(models, "draw_samples", lambda _: ([], [], ""))
    monkeypatch.setattr(
        models, "measure", lambda *_, **__: ([Reading("engine fp32", lines, lines)], [])
    )
    out = ["--out", str(tmp_path / "report.md"), "--log", str(tmp_path / "log")]
    with stand_in(monkeypatch, FakeCuda()):
        assert main(out) == status


def test_what_needs_cuda_alone_is_tested_first() -> None:
    assert SUITES[0].files == ("tests/runtime/backends/tensorrt/test_cuda_lane.py",)
    assert SUITES[0].needs == ("tests",)


def test_a_page_has_no_section_of_which_nothing_is_known() -> None:
    page = to_markdown(Report({}))
    assert re.findall("^#+ (.+)", page, re.MULTILINE) == ["GPU report", "Missing"]
    assert "Nothing is missing." in page


def test_the_environment_names_versions_and_commit() -> None:
    found = environment()
    assert re.match(r"\d+\.\d+", found["torch"])
    assert re.match(r"\d{4}-\d{2}-\d{2}$", found["date"])
    assert found["commit"]
    assert ("GPU" in found) == (device_count() > 0)


def test_lines_are_fresh_digits() -> None:
    samples, calibration, words = draw_samples(3)
    assert len(samples) == 3
    assert len(calibration) == 200
    assert all(text.isdigit() and image.ndim == 3 for image, text in samples)
    assert "not trained on" in words


def test_without_what_draws_lines_the_shipped_ones_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "crnn.synth", None)
    samples, calibration, words = draw_samples(3)
    assert samples == calibration
    assert all(text.isdigit() and image.ndim == 3 for image, text in samples)
    assert "because none can be drawn" in words


@pytest.mark.slow
def test_a_suite_streams_its_output_and_names_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "log"
    file = tmp_path / "test_one.py"
    file.write_text("def test_that_is_good() -> None:\n    pass\n")
    suite = Suite("one", (str(file),), (), "not gpu")
    passed, said = run_suite(suite, log, time_ahead())
    assert passed is True
    assert "1 passed" in said
    nothing = dataclasses.replace(suite, markers="slow")
    assert run_suite(nothing, log, time_ahead())[0] is False
    text = log.read_text("utf-8")
    assert text.count("$ ") == 2
    assert "test_that_is_good PASSED" in text


def time_ahead() -> float:
    return time.monotonic() + 300


def test_every_test_that_needs_a_gpu_is_in_a_suite() -> None:
    marked = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != Path(__file__)
        and re.search(
            r"^@needs_(gpu|engine)$|marks=GPU_MARKS", path.read_text("utf-8"), re.MULTILINE
        )
    }
    assert marked == {file for suite in (*SUITES, *SLOW_SUITES) for file in suite.files}


def test_a_shape_is_warmed_up_until_it_gets_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    durations = iter([9.0, 5.0, 1.0, 1.0, 0.99, 1.0, 1.2, 1.0, 0.1])
    now = [0.0]
    monkeypatch.setattr(models.time, "perf_counter", lambda: now[0])

    def run() -> None:
        now[0] += next(durations)

    assert warm_up(run) == 8  # the third was the fastest, and five have not beaten it
