"""Runs that are stopped, lose a worker, or go on as something else."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from digit_lines import write_data_set
from processes import children
from small_run import small_run

from crnn.checkpoints import load_checkpoint
from crnn.training import distributed, loop, state, train
from crnn.training.alone import alone_in
from crnn.training.report import reporter
from crnn.workers import WorkerDiedError
from crnn_runtime.errors import CrnnError


def logged(directory: Path, key: str) -> list[float]:
    entries = map(json.loads, (directory / "log.jsonl").read_text().splitlines())
    by_step = {entry["step"]: entry[key] for entry in entries if key in entry}
    return [by_step[step] for step in sorted(by_step)]


def call_at(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int, what: Any,  # noqa: ANN401
) -> None:  # fmt: skip
    """Have something done at the start of the ``number``-th call of a function."""
    original, calls = getattr(owner, name), []

    def wrapper(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        calls.append(name)
        if len(calls) == number:
            what()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, wrapper)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(CrnnError, match=str(tmp_path)):
        train(small_run(tmp_path, max_steps=1))
    assert train(small_run(tmp_path, max_steps=1)).steps == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_after_its_step_and_it_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    train(small_run(tmp_path / "whole", ema=0.9))
    handler = signal.getsignal(number)
    with monkeypatch.context() as patch:
        call_at(patch, loop.Run, "advance", 5, lambda: signal.raise_signal(number))
        stopped = train(small_run(tmp_path / "parts", ema=0.9))
    assert stopped.stopped == number
    assert stopped.steps == 5
    assert load_checkpoint(stopped.last).extra["run"]["steps"] == 5
    (said,) = (each.getMessage() for each in caplog.records if each.levelname == "WARNING")
    assert "step 5" in said
    assert signal.getsignal(number) == handler
    result = train(small_run(tmp_path / "parts", ema=0.9))
    assert result.stopped is None
    assert logged(tmp_path / "parts", "loss") == logged(tmp_path / "whole", "loss")


def test_a_validation_that_was_stopped_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(small_run(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        stop = lambda: signal.raise_signal(signal.SIGTERM)  # noqa: E731
        call_at(patch, reporter.Reporter, "reads", 1, stop)
        stopped = train(small_run(tmp_path / "parts"))
    assert stopped.stopped == signal.SIGTERM
    assert stopped.steps == 6
    assert stopped.scores == {}
    train(small_run(tmp_path / "parts"))
    whole, parts = (logged(tmp_path / name, "exact") for name in ("whole", "parts"))
    assert parts == whole


def test_a_signal_while_lines_are_waited_for_ends_a_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crnn.data.sources import SyntheticLines

    stop = lambda: signal.raise_signal(signal.SIGTERM)  # noqa: E731
    call_at(monkeypatch, SyntheticLines, "line", 1, stop)
    result = train(small_run(tmp_path))
    assert (result.stopped, result.steps) == (signal.SIGTERM, 0)
    assert not result.last.exists()


def test_a_worker_that_is_killed_costs_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    from crnn.data.sources import SyntheticLines

    parent, draw = os.getpid(), SyntheticLines.line

    def line(*arguments: Any) -> Any:  # noqa: ANN401
        if arguments[1] >= 32 and os.getpid() != parent:
            die()
        return draw(*arguments)

    options = {"synth_lines": 64, "workers": 2, "max_epoch": 1}
    with monkeypatch.context() as patch:
        patch.setattr(SyntheticLines, "line", line)
        patch.setattr("crnn.data.plan.POOL", 2)
        with pytest.raises(WorkerDiedError, match="SIGKILL") as caught:
            train(small_run(tmp_path, **options))
    assert "\n" not in str(caught.value)


def test_a_second_interrupt_ends_a_run_where_it_is(tmp_path: Path) -> None:
    from crnn.training.stopping import StopSignals

    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # torchrun and the terminal: the same one
        time.sleep(1.1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signals.came == signal.SIGINT


def test_another_number_of_processes_keeps_the_lines_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = small_run(tmp_path, accumulate=2, max_steps=1)
    train(begun)
    assert state.as_begun(begun) is begun
    with monkeypatch.context() as patch:
        patch.setattr(distributed, "world_size", lambda: 2)
        assert state.as_begun(begun).accumulate == 1
        patch.setattr(distributed, "world_size", lambda: 3)
        with pytest.raises(CrnnError, match="start 1, 2"):
            state.as_begun(begun)
    # What two processes began, one goes on with.
    last = load_checkpoint(tmp_path / "last.pth")
    last.extra["config"]["accumulate"] = 1
    monkeypatch.setattr(state, "load_checkpoint", lambda *_, **__: last)
    alone = small_run(tmp_path, accumulate=1)
    assert state.as_begun(alone).accumulate == 2
    state.start(state.as_begun(alone), torch.device("cpu"))
    with pytest.raises(CrnnError, match="--accumulate"):
        state.start(state.as_begun(small_run(tmp_path, accumulate=4)), torch.device("cpu"))


@pytest.mark.parametrize("lengthen", ["stretch", "constant", "cycle"])
def test_a_longer_run_says_what_its_learning_rate_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lengthen: str
) -> None:
    train(small_run(tmp_path, max_epoch=1, dev_lines=1))
    assert not [each for each in caplog.records if "learning rate" in each.getMessage()]
    longer = small_run(tmp_path, dev_lines=1, lengthen=lengthen, max_steps=9)
    train(longer)
    rates = logged(tmp_path, "lr")
    end = rates[5]
    warned = [each for each in caplog.records if "learning rate" in each.getMessage()]
    assert bool(warned) == (lengthen != "constant")
    match lengthen:
        case "stretch":
            assert rates[6] > 2 * end
        case "constant":
            assert rates[6:] == [end] * 3
        case "cycle":
            assert rates[6] == rates[0]
    # The same again: nothing is left, and nothing is said of the rate.
    caplog.clear()
    train(longer)
    assert not [each for each in caplog.records if "learning rate" in each.getMessage()]


def test_other_lines_than_a_run_began_with_are_refused(tmp_path: Path) -> None:
    root = write_data_set(tmp_path / "data")
    options = {"dataset_root": root, "synth": None}
    train(small_run(tmp_path / "run", max_epoch=1, **options))
    with (root / "train.txt").open("a") as file:
        file.write("train_0.jpg 1 2 3\n")
    with pytest.raises(CrnnError, match="8 lines") as caught:
        train(small_run(tmp_path / "run", **options))
    assert "\n" not in str(caught.value)


def test_the_step_of_the_best_reader_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import crnn.training.loop as here

    read, accuracies = here.evaluate, iter([0.5, 0.25])

    def evaluate(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        import dataclasses

        found = read(*arguments, **options)
        scores = dataclasses.replace(found.scores, exact=next(accuracies))
        return dataclasses.replace(found, scores=scores)

    monkeypatch.setattr(here, "evaluate", evaluate)
    result = train(small_run(tmp_path))
    assert (result.best_step, result.steps) == (6, 12)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_command_stops_in_one_line(tmp_path: Path, number: int) -> None:
    """SIGTERM to all its processes, as schedulers send it; SIGKILL to one worker."""
    command = [
        sys.executable, "-m", "crnn.cli.train", "--synth", "digits", "--directory", "run",
        "--batch-size", "2", "--print-freq", "1", "--workers", "2", "--threads", "1",
        "--gpu-id", "-1", "--dev-lines", "2", "--synth-lines", "1000",
    ]  # fmt: skip
    log = tmp_path / "run" / "log.jsonl"
    with subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE, text=True
    ) as run:
        while not (log.is_file() and len(log.read_text().splitlines()) >= 3):
            assert run.poll() is None
            time.sleep(0.02)
        if number == signal.SIGTERM:
            os.killpg(run.pid, number)
        else:
            os.kill(max(children(run.pid)), number)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == (143 if number == signal.SIGTERM else 2)
    assert "Traceback" not in errors
    assert "last.pth" in errors.splitlines()[-1]
    assert load_checkpoint(tmp_path / "run" / "last.pth").extra["run"]["steps"] >= 3
