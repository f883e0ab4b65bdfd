"""Reports of a run: the worst lines, the bar, TensorBoard, the accuracy that fine-tuning kept."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from refusals import assert_usage_error
from small_run import small_run

from crnn.metrics import score
from crnn.training import train
from crnn.training.report.reporter import kept
from crnn.training.report.worst import WorstLine, draw_worst
from crnn_runtime.model.alphabet import Alphabet

WRONG = (255, 179, 179)


def count(page: Image.Image, color: tuple[int, int, int]) -> int:
    return int((np.asarray(page) == color).all(axis=2).sum())


def line(truth: str, read: str, color: tuple[int, ...] = (0, 200, 0)) -> WorstLine:
    pixels = np.zeros((32, 100, len(color)), np.uint8) + np.array(color, np.uint8)
    return WorstLine("here", pixels, truth, read)


def test_a_picture_of_a_line_shows_its_pixels_and_marks_what_is_wrong() -> None:
    right, wrong = (draw_worst([line("abc", read)], "rgb") for read in ("abc", "axc"))
    assert count(right, (0, 200, 0)) == count(wrong, (0, 200, 0)) == 3200
    assert count(right, WRONG) == 0
    assert count(wrong, WRONG) > 100
    lost = draw_worst([line("abc", "ab")], "rgb")
    assert 0 < count(lost, WRONG) < count(wrong, WRONG)
    two = draw_worst([line("abc", "axc"), line("a", "")], "rgb")
    assert two.height == 2 * right.height
    assert two.crop((0, 0, *right.size)).tobytes() == wrong.tobytes()


@pytest.mark.parametrize(
    ("color", "pixel"), [("rgb", (9, 0, 0)), ("bgr", (0, 0, 9)), ("gray", (9,))]
)
def test_colours_are_those_of_the_line(color: Any, pixel: tuple[int, ...]) -> None:  # noqa: ANN401
    page = draw_worst([line("a", "b", pixel)], color)
    expected = (9, 9, 9) if color == "gray" else (9, 0, 0)
    assert count(page, expected) == 3200


def test_a_character_that_no_font_has_is_a_box_of_its_own() -> None:
    first, second = (draw_worst([line(c, c)], "rgb") for c in ("\U0010fffd", "\U0010abcd"))
    assert first.tobytes() != second.tobytes()
    assert first.tobytes() != draw_worst([line(" ", " ")], "rgb").tobytes()


def test_wide_lines_and_long_texts_stay_on_the_page() -> None:
    wide = WorstLine("x" * 500, np.zeros((32, 4000, 1), np.uint8), "m" * 400, "中" * 400)
    page = draw_worst([wide, WorstLine("gone", None, "a", "b")], "gray")
    assert page.width == 960
    assert (np.asarray(page)[:, -8:] > 200).all()


def test_what_is_kept_is_said_only_where_it_is_known() -> None:
    scores = score(["a", "b", "c", "d"], ["a", "b", "c", "x"])
    assert kept(scores, 0.8) == "; 80.00% before: 93.8% kept"
    assert kept(scores, None) == ""
    assert kept(scores, 0.0) == ""


def test_fine_tuning_tells_of_the_sets_it_may_forget(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "crnn")
    train(small_run(tmp_path / "old", synth_lines=4, max_epoch=1))
    assert "before" not in caplog.text
    best = tmp_path / "old" / "best.pth"
    options = {
        "alphabet": Alphabet("0123456789x"), "init": best, "validate_on": ("synth:digits",),
        "save_steps": 1,
    }  # fmt: skip
    result = train(small_run(tmp_path / "new", max_steps=1, **options))
    assert list(result.scores) == ["dev", "synth:digits"]
    assert set(result.before) == {"dev", "synth:digits"}
    seen = [(entry["step"], entry["validation"]) for entry in validations(tmp_path / "new")]
    assert seen == [(0, "dev"), (0, "synth:digits"), (1, "dev"), (1, "synth:digits")]
    # A resumed run still knows how it began.
    assert train(small_run(tmp_path / "new", **options)).before == result.before


def validations(directory: Path) -> list[dict[str, Any]]:
    entries = map(json.loads, (directory / "log.jsonl").read_text().splitlines())
    return [entry for entry in entries if "validation" in entry]


def test_before_the_first_step_the_new_reader_reads_as_the_old_one(tmp_path: Path) -> None:
    train(small_run(tmp_path / "old", overfit=2, max_epoch=12, lr=5e-3, validate_interval=12))
    options = {"alphabet": Alphabet("x9876543210"), "init": tmp_path / "old" / "best.pth"}
    train(small_run(tmp_path / "new", overfit=2, max_steps=1, **options))
    (was,), (now, _) = validations(tmp_path / "old"), validations(tmp_path / "new")
    assert (was["cer"], was["confusions"]) == (now["cer"], now["confusions"])


def test_tensorboard_shows_curves_and_the_worst_lines(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = small_run(tmp_path, tensorboard=True, synth_lines=4)
    train(run)
    (events,) = (tmp_path / "tensorboard").iterdir()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert {"train/loss", "train/lr", "dev/exact", "dev/cer"} <= set(board.Tags()["scalars"])
    assert [point.step for point in board.Scalars("train/loss")] == [1, 2, 3, 4]
    assert board.Tags()["images"] == ["dev/worst"]
    assert events.stat().st_size > 1000


def test_a_missing_tensorboard_is_one_line() -> None:
    script = (
        "import sys; sys.modules['tensorboard'] = None; from crnn.cli.train import main; "
        "main(['--synth', 'digits', '--tensorboard', '--directory', '/nowhere'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert_usage_error(result, "tensorboard", "pip install")


def test_a_terminal_shows_a_bar_and_a_file_plain_lines(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "crnn.cli.train", "--synth", "digits", "--synth-lines", "24",
        "--dev-lines", "2", "--batch-size", "2", "--max-epoch", "1", "--workers", "0",
        "--threads", "1", "--gpu-id", "-1", "--print-freq", "4", "--directory",
    ]  # fmt: skip
    plain = subprocess.run([*command, str(tmp_path / "a")], capture_output=True, check=True)
    assert plain.stderr.count(b" lines/s, ") == 3
    assert b"\r" not in plain.stderr
    main, terminal = pty.openpty()
    longer = [*command, str(tmp_path / "b"), "--synth-lines", "240"]  # than the bar's interval
    process = subprocess.Popen(longer, stderr=terminal)
    os.close(terminal)
    shown = b""
    while True:
        try:
            shown += os.read(main, 4096)
        except OSError:  # the other end was closed
            break
    os.close(main)
    assert process.wait() == 0
    assert b"%|" in shown.replace(b" ", b"")
    assert b" lines/s" in shown
    assert b"epoch 1 step 4/12" not in shown, "the bar replaces these lines"
    assert b"lines exact" in shown, "validations are told as ever"
