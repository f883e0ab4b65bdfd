"""Whole runs on a few lines: what is written, how they end, how they go on."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from digit_lines import write_data_set
from small_run import DIGITS, small_run

from crnn.checkpoints import load_checkpoint, load_model, save_checkpoint
from crnn.cli.train import main
from crnn.data.loader import Batch
from crnn.data.parts import in_parts
from crnn.recipes import recipe_config
from crnn.training import train
from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.model.alphabet import Alphabet


def losses(directory: Path) -> list[float]:
    entries = map(json.loads, (directory / "log.jsonl").read_text().splitlines())
    by_step = {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}
    return [by_step[step] for step in sorted(by_step)]


def test_a_run_leaves_readers_and_a_log(tmp_path: Path) -> None:
    result = train(small_run(tmp_path, save_interval=2))
    assert (result.steps, result.epochs) == (12, 2)
    assert result.scores["dev"].lines == 4
    assert len(losses(tmp_path)) == 12
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "best.pth", "last.pth", "lite_epoch_2.pth.tar", "log.jsonl", "worst-dev.png",
        "worst-dev.tsv",
    }  # fmt: skip
    head, *rows = (tmp_path / "worst-dev.tsv").read_text().splitlines()
    assert head == "line\ttruth\tread"
    assert rows[0].startswith("synthetic digits, seed 1000003, line ")
    for name in ("best.pth", "last.pth", "lite_epoch_2.pth.tar"):
        model, card = load_model(tmp_path / name)
        assert card.alphabet == DIGITS
        assert model(torch.zeros(1, 1, 32, 64)).shape[2] == 11
    assert load_checkpoint(tmp_path / "last.pth").card.training["steps"] == 12  # type: ignore[union-attr]


def test_the_same_seed_gives_the_same_losses(tmp_path: Path) -> None:
    for name in "ab":
        train(small_run(tmp_path / name, align=0.5))
    train(small_run(tmp_path / "c", seed=1))
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")


def test_batches_in_parts_train_as_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"freeze_backbone": 9, "accumulate": 2}  # frozen norms see no batch
    train(small_run(tmp_path / "whole", **options))
    lines: set[int] = set()

    def seen(batch: Batch, device: torch.device) -> Iterator[tuple[Batch, float]]:
        for part, share in in_parts(batch, device):
            lines.add(len(part.images))
            yield part, share

    monkeypatch.setattr("crnn.training.loop.in_parts", seen)
    monkeypatch.setattr("crnn.data.parts.MOST_PIXELS", 1)
    train(small_run(tmp_path / "parts", **options))
    assert lines == {1}
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)


def test_losses_over_own_classes_train_as_those_over_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(small_run(tmp_path / "all", align=0.5))
    monkeypatch.setattr("crnn.training.objective.MANY_CLASSES", 2)
    train(small_run(tmp_path / "own", align=0.5))
    assert losses(tmp_path / "own") != losses(tmp_path / "all"), "they are rounded differently"
    assert losses(tmp_path / "own") == pytest.approx(losses(tmp_path / "all"), rel=1e-2)


@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.9, "accumulate": 2},
        {"optimizer": "rmsprop"},
        {"align_first": 0.7, "align": 0.9},
    ],
)
def test_a_stopped_run_goes_on_exactly(tmp_path: Path, options: dict[str, Any]) -> None:
    options = {"schedule": "constant", "warmup": 0.0, "synth_lines": 20, **options}
    train(small_run(tmp_path / "whole", **options))
    train(small_run(tmp_path / "parts", max_steps=3, **options))
    assert len(losses(tmp_path / "parts")) == 3
    result = train(small_run(tmp_path / "parts", **options))
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    whole, parts = (load_checkpoint(tmp_path / name / "last.pth") for name in ("whole", "parts"))
    assert all(torch.equal(parts.state_dict[n], t) for n, t in whole.state_dict.items())
    assert result.epochs == 2


def test_a_finished_run_only_reports(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "crnn")
    first = train(small_run(tmp_path))
    assert "nothing left to train" not in caplog.text
    before = (tmp_path / "last.pth").stat().st_mtime_ns
    again = train(small_run(tmp_path))
    assert (again.steps, again.scores) == (first.steps, first.scores)
    assert "nothing left to train" in caplog.text
    assert "nothing was validated" not in caplog.text
    assert (tmp_path / "last.pth").stat().st_mtime_ns == before


def test_another_configuration_is_refused_unless_fresh(tmp_path: Path) -> None:
    train(small_run(tmp_path, max_epoch=1))
    with pytest.raises(CrnnError, match=r"--lr 0\.001.*0\.5.*--fresh"):
        train(small_run(tmp_path, lr=0.5))
    train(small_run(tmp_path, lr=0.5, fresh=True, max_epoch=1))
    assert len(losses(tmp_path)) == 6


def test_foreign_weights_are_for_init(tmp_path: Path) -> None:
    train(small_run(tmp_path / "a", max_epoch=1))
    best = tmp_path / "a" / "best.pth"
    with pytest.raises(CrnnError, match="--init"):
        train(small_run(tmp_path / "b", resume=best))
    result = train(small_run(tmp_path / "b", init=best, alphabet=Alphabet("9876543210x")))
    assert load_model(result.last)[0].num_classes == 12


def test_a_folder_of_the_original_is_learnt_from(tmp_path: Path) -> None:
    root = write_data_set(tmp_path / "data")
    result = train(
        small_run(tmp_path / "run", dataset_root=root, synth=None, arch="shufflenetv2_cifar")
    )
    assert result.scores["dev"].lines == 8
    assert result.failures == []


def test_an_unreadable_picture_is_reported_and_costs_only_itself(tmp_path: Path) -> None:
    root = write_data_set(tmp_path / "data")
    for name in ("train_3.jpg", "dev_5.jpg"):
        path = root / "images" / name
        data = bytearray(cv2.imencode(".png", cv2.imread(str(path)))[1].tobytes())
        data[len(data) // 2] ^= 255  # its header and its end are still good
        path.write_bytes(data)
    result = train(small_run(tmp_path / "run", dataset_root=root, synth=None))
    assert len(result.failures) == 2
    assert result.scores["dev"].lines == 7
    listed = (tmp_path / "run" / "unreadable.txt").read_text()
    assert "train.txt:4:" in listed
    assert "dev.txt:6:" in listed


def test_bad_lines_stop_or_go_to_quarantine(tmp_path: Path) -> None:
    root = write_data_set(tmp_path / "data")
    with (root / "train.txt").open("a") as file:
        file.write("gone.jpg 1\n")
    options = {"dataset_root": root, "synth": None, "max_epoch": 1}
    with pytest.raises(CrnnError, match=r"train\.txt:9: .*gone\.jpg"):
        train(small_run(tmp_path / "run", **options))
    train(small_run(tmp_path / "run", skip_bad=True, **options))
    assert "gone.jpg" in (tmp_path / "run" / "quarantine-data-train.txt").read_text()


def test_without_a_dev_set_the_last_reader_is_the_best(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "crnn")
    root = write_data_set(tmp_path / "data", splits=("train",))
    result = train(small_run(tmp_path / "run", dataset_root=root, synth=None, max_epoch=1))
    assert result.scores == {}
    assert result.best == result.last
    assert str(root) in caplog.text
    assert "nothing was validated" in caplog.text
    assert "nothing left to train" not in caplog.text


def test_a_mix_is_validated_set_by_set(tmp_path: Path) -> None:
    root = write_data_set(tmp_path / "data")
    result = train(
        small_run(tmp_path / "run", dataset_root=root, synth=None, mix=(("synth:digits", 0.5),))
    )
    assert list(result.scores) == ["dev", "synth:digits"]
    assert result.steps == 2 * 16 / 2


def test_only_blanks_are_explained(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train(small_run(tmp_path / "a", max_epoch=1))
    model, card = load_model(tmp_path / "a" / "last.pth")
    with torch.no_grad():
        model.classifier.bias[0] = 1e6
    save_checkpoint(tmp_path / "blank.pth", model, card)
    assert "every line reads as nothing" not in caplog.text
    train(small_run(tmp_path / "b", init=tmp_path / "blank.pth", max_epoch=1))
    assert "every line reads as nothing" in caplog.text


def test_steps_that_are_not_finite_are_skipped_and_end_a_hopeless_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(CrnnError, match="100 steps"):
        train(small_run(tmp_path, lr=1e30, optimizer="sgd", clip=0, batch_size=1, max_epoch=100))
    assert caplog.text.count("the step is skipped") == 1


def test_a_frozen_backbone_stays_as_it_was(tmp_path: Path) -> None:
    train(small_run(tmp_path / "a", max_epoch=1))
    old = load_checkpoint(tmp_path / "a" / "best.pth").state_dict
    options = {"init": tmp_path / "a" / "best.pth", "freeze_backbone": 1}
    train(small_run(tmp_path / "b", max_epoch=1, **options))
    new = load_checkpoint(tmp_path / "b" / "last.pth").state_dict
    same = {name for name in old if torch.equal(old[name], new[name])}
    assert same == {name for name in old if name.startswith("backbone.")}
    train(small_run(tmp_path / "b", max_epoch=2, **options))
    later = load_checkpoint(tmp_path / "b" / "last.pth").state_dict
    assert not all(torch.equal(old[name], later[name]) for name in same)


def test_overfit_validates_on_the_lines_it_learns(tmp_path: Path) -> None:
    result = train(small_run(tmp_path, overfit=4, max_epoch=3))
    assert result.scores["dev"].lines == 4
    assert result.steps == 6


def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="GPU 99"):
        train(small_run(tmp_path, gpu=99))


def test_time_ends_a_run_and_its_schedule(tmp_path: Path) -> None:
    result = train(small_run(tmp_path, max_minutes=1e-6))
    assert result.steps <= 1
    assert result.last.is_file()


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    root = write_data_set(tmp_path / "data", count=40)
    return [
        sys.executable, "-m", "crnn.cli.train", "--dataset-root", str(root), "--alphabet", "digits",
        "--batch-size", "2", "--max-epoch", "6", "--print-freq", "1", "--save-steps", "7",
        "--save-interval", "0", "--validate-interval", "3", "--workers", "1", "--threads", "1",
        "--ema", "0.9", "--gpu-id", "-1",
    ]  # fmt: skip


def run_here(command: list[str]) -> None:
    """Without a process of its own, which costs seconds until it has imported PyTorch."""
    assert CliRunner().invoke(main, command[3:]).exit_code == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path, command: list[str]) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_here([*command, "--directory", str(whole)])
    command += ["--directory", str(killed)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    log = killed / "log.jsonl"
    while not (log.is_file() and len(log.read_text().splitlines()) >= 32):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    steps = load_checkpoint(killed / "last.pth").extra["run"]["steps"]
    expected = losses(whole)
    assert 28 <= steps <= len(expected) - 50
    subprocess.run(command, check=True, capture_output=True)
    assert losses(killed) == expected


@pytest.mark.slow
def test_two_processes_do_what_one_that_accumulates_does_which_may_take_over(
    tmp_path: Path, command: list[str]
) -> None:
    command += ["--max-steps", "30", "--schedule", "constant"]
    run_here([*command, "--accumulate", "2", "--directory", str(tmp_path / "one")])
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    alone = [*command, "--directory", str(tmp_path / "two")]
    two = [sys.executable, *launch, *alone[1:], "--save-steps", "1"]
    with subprocess.Popen(two, stderr=subprocess.DEVNULL, start_new_session=True) as run:
        while not (tmp_path / "two" / "last.pth").is_file():
            assert run.poll() is None
            time.sleep(0.02)
        run.terminate()  # torchrun tells its processes
    run_here(alone)  # one process goes on with the lines of both
    assert len(losses(tmp_path / "one")) == 30
    np.testing.assert_allclose(losses(tmp_path / "one"), losses(tmp_path / "two"), atol=1e-5)


@pytest.mark.slow
def test_two_processes_train_one_recipe_after_another(tmp_path: Path) -> None:
    plain = 'arch = "lite"\nsynth = "digits"\nalphabet = "digits"\n'
    (tmp_path / "one.toml").write_text(plain)
    (tmp_path / "two.toml").write_text(f'{plain}after = "one.toml"\n')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    # As torchrun sets it, which the test before this one starts.
    pair = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    small = ["--synth-lines", "16", "--dev-lines", "4", "--batch-size", "4", "--max-epoch", "1"]
    command = [
        sys.executable, "-m", "crnn.cli.train", "--recipe", "two.toml", *small,
        "--directory", "out", "--gpu-id", "-1", "--workers", "0", "--threads", "1",
    ]  # fmt: skip
    for _ in range(2):  # the second time there is nothing left to do
        runs = [
            subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**os.environ, **pair, "RANK": rank, "LOCAL_RANK": rank},
            )
            for rank in "01"
        ]  # fmt: skip
        said = [run.communicate() for run in runs]
        assert [run.returncode for run in runs] == [0, 0], said
        assert [stdout.count("best: out/best.pth") for stdout, _ in said] == [1, 0]
    assert (tmp_path / "out" / "one" / "best.pth").exists()


def test_the_digits_recipe_runs(tmp_path: Path) -> None:
    run = recipe_config("digits", tmp_path, max_steps=2, batch_size=2, dev_lines=4, workers=0)
    assert train(run).scores["dev"].lines == 4
    assert run.alphabet == DIGITS


def test_a_configuration_is_plain_data() -> None:
    run = small_run(Path("x"))
    assert json.loads(json.dumps(run.fingerprint())) == run.fingerprint()
    assert dataclasses.replace(run, threads=3).fingerprint() == run.fingerprint()
