"""A reader ships only if it reads better than the one that ships."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from refusals import assert_line, assert_usage_error

from crnn.checkpoints import load_model
from crnn_export.to_onnx import write_card
from crnn_runtime import Recognizer
from tools import ship

CHECKPOINT = Path(__file__).parents[2] / "examples" / "digits.pth"
LESS = ("synth:digits:train:20",)
SMALL = ship.Shipped("log-probs", ("synth:digits:train:40",))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", sorted(ship.SHIPPED))
def test_a_shipped_reader_is_of_the_checkpoint_beside_it(name: str) -> None:
    with Recognizer(name) as reader:
        named = reader.card.hashes["checkpoint"]
    assert named == _sha256(CHECKPOINT.with_name(f"{name}.pth"))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the shipped readers, and few lines to measure."""
    monkeypatch.setattr("crnn_runtime.readers._FOLDER", tmp_path)
    monkeypatch.setattr(ship, "CHECKPOINTS", tmp_path / "examples")
    monkeypatch.setitem(ship.SHIPPED, "digits", SMALL)
    (tmp_path / "examples").mkdir()
    return tmp_path


@pytest.mark.slow
def test_a_reader_ships_with_its_figures_once(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = shelf / "run"
    run.mkdir()
    (run / "log.jsonl").write_text(
        '{"step": 9, "loss": 1}\n{"step": 9, "validation": "dev", "exact": 0.5}\n'
        '{"step": 9, "validation": "other", "exact": 0.7}\n'
    )
    checkpoint = shutil.copy(CHECKPOINT, run)
    arguments = ["digits", checkpoint, "--how", "crnn-train --recipe digits"]
    first = CliRunner().invoke(ship.main, arguments)
    assert first.exit_code == 0, first.output
    with Recognizer(shelf / "digits.onnx") as reader:
        card = reader.card
    (scores,) = card.evaluation.values()
    assert scores["lines"] == 40
    assert f"{scores['exact']:.2%} of 40 exact" in first.output
    assert card.head == "log-probs"
    assert card.training["how"] == "crnn-train --recipe digits"
    assert card.training["curve"] == [[9, 0.5]]
    model, _ = load_model(shelf / "examples" / "digits.pth")
    weights = [value for value in model.state_dict().values() if value.dim() > 1]
    assert weights
    for value in weights:
        assert torch.equal(value, value.half().float())
    before = (shelf / "digits.onnx").read_bytes()
    again = CliRunner().invoke(ship.main, arguments)
    assert again.exit_code == 2  # after it has printed how the two compare
    assert_line(again.stderr.splitlines()[-1], "digits")
    assert (shelf / "digits.onnx").read_bytes() == before
    # Measured again, of real sets told what was told; the lines are the same here.
    told = card.replace(evaluation={**card.evaluation, "photos": {"exact": 0.5}})
    write_card(shelf / "digits.onnx", told)
    monkeypatch.setitem(ship.SHIPPED, "digits", ship.Shipped("log-probs", LESS))
    again = CliRunner().invoke(ship.main, ["digits"])
    assert again.exit_code == 0, again.output
    with Recognizer(shelf / "digits.onnx") as reader:
        fresh, photos = reader.card.evaluation.items()
        assert fresh[0].startswith(LESS[0])
        assert photos == ("photos", {"exact": 0.5})
        assert reader.card.training == card.training
    assert reader.card.hashes["checkpoint"] == _sha256(shelf / "examples" / "digits.pth")
    idle = CliRunner().invoke(ship.main, ["digits", "--force"])
    assert_usage_error(idle, "CHECKPOINT")
    unsaid = CliRunner().invoke(ship.main, arguments[:2])
    assert_usage_error(unsaid, "--how")
    assert not [path for path in shelf.iterdir() if path.name.startswith("crnn-ship-")]


def test_better_is_judged_on_the_synthetic_sets_that_both_have_read() -> None:
    known = {"synth:a": {"exact": 0.9}, "synth:b": {"exact": 0.5}, "photos": {"exact": 0.5}}
    assert ship.is_better({"synth:a": {"exact": 0.91}, "synth:c": {"exact": 0.0}}, known)
    assert not ship.is_better({"synth:a": {"exact": 0.9}, "synth:c": {"exact": 1.0}}, known)
    assert not ship.is_better({"synth:a": {"exact": 0.9}, "photos": {"exact": 1.0}}, known)
    assert ship.is_better({"synth:a": {"exact": 0.1}}, {})
