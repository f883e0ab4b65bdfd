"""Readers between the start of a run and its end."""

from pathlib import Path

import pytest
import torch
from small_run import small_run

from crnn.checkpoints import load_checkpoint, save_checkpoint
from crnn.model import build_model, default_card
from crnn.training import train
from crnn.training.blend import blended
from crnn.training.config.option import parse_shares
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

OLD, NEW = Alphabet("0123456789"), Alphabet("9876543210x")


def test_rows_that_the_start_lacks_stay_as_they_were_learnt() -> None:
    start = {"backbone.a": torch.zeros(2), "classifier.bias": torch.zeros(3), "n": torch.tensor(1)}
    tuned = {"backbone.a": torch.ones(2), "classifier.bias": torch.ones(3), "n": torch.tensor(7)}
    found = blended(start, tuned, 0.25, [2])
    assert found["backbone.a"].tolist() == [0.25, 0.25]
    assert found["classifier.bias"].tolist() == [0.25, 0.25, 1.0]
    assert found["n"] == 7


def test_readers_that_read_alike_give_the_one_nearest_to_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    start = tmp_path / "start.pth"
    save_checkpoint(start, build_model("lite", 11), default_card("lite", OLD))
    run = tmp_path / "run"
    options = {"alphabet": NEW, "batch_size": 4, "max_epoch": 1, "init": start}
    for shares in ((), (0.5, 0.0)):  # the second time there is nothing left but the blend
        result = train(small_run(run, blend=shares, **options))
    assert result.best == run / "best.pth"
    old, best, tuned = (load_checkpoint(p) for p in (start, result.best, run / "tuned.pth"))
    assert best.card is not None
    assert tuned.card is not None
    assert best.card.training["blend"] == 0.0
    assert "blend" not in tuned.card.training
    name = "backbone.layers.0.weight"
    assert torch.equal(best.state_dict[name], old.state_dict[name])
    assert not torch.equal(tuned.state_dict[name], old.state_dict[name])
    rows = best.state_dict["classifier.weight"]
    assert torch.equal(rows[1:11].flip(0), old.state_dict["classifier.weight"][1:])
    assert torch.equal(rows[11], tuned.state_dict["classifier.weight"][11])
    train(small_run(run, blend=(1.0,), **options))
    again = load_checkpoint(run / "best.pth")
    assert all(torch.equal(again.state_dict[n], t) for n, t in tuned.state_dict.items())


def test_what_cannot_be_blended_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CrnnError, match="--init"):
        train(small_run(tmp_path, blend=(0.5,)))
    with pytest.raises(CrnnError, match="--blend"):
        small_run(tmp_path, blend=(1.5,))
    with pytest.raises(CrnnError, match="--blend"):
        parse_shares(["0.3", "x"])
    assert parse_shares(["0.3,0.6", 1]) == (0.3, 0.6, 1.0)
