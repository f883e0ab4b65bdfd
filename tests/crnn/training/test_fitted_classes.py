"""Classes that a start lacks, fitted to drawn lines while the rest of the reader stays."""

from pathlib import Path

import pytest
import torch
from refusals import refused
from small_run import small_run

from crnn.checkpoints import load_checkpoint, load_model
from crnn.data.sources import SyntheticLines
from crnn.synth import Synthesizer
from crnn.training import TrainConfig, loop, train
from crnn.training.reading import evaluate
from crnn_runtime.model.alphabet import Alphabet

START = Path("examples/digits.pth")
MORE = Alphabet("0123456789AKX")
START_IS = {"arch": "ppocrv6_tiny", "height": 40}
LINES = {"lift": "AKX", "rare": 1.0, "fonts": "packages"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("fitted")
    return small_run(
        folder, **START_IS, alphabet=MORE, init=START, synth_options=LINES, fit_new=512,
        max_steps=0, max_epoch=1, dev_lines=8, batch_size=32, ema=0.9,
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted(run: TrainConfig) -> Path:
    assert train(run).steps == 0
    return run.directory / "last.pth"


def test_new_characters_are_read_and_old_weights_stay(fitted: Path) -> None:
    start, now = load_checkpoint(START).state_dict, load_checkpoint(fitted).state_dict
    kept = torch.arange(11)  # the blank and the digits
    for name, tensor in start.items():
        same = now[name][kept] if name.startswith("classifier.") else now[name]
        assert torch.equal(tensor, same), name
    model, card = load_model(fitted)
    fresh = SyntheticLines(Synthesizer("digits", seed=9, alphabet=MORE, **LINES), card, 150)
    reading = evaluate(model, fresh, card, batch_size=50, workers=0)
    assert reading.scores.cer < 0.15  # a new character in every line of eight on average


def test_the_same_command_does_not_fit_again(
    run: TrainConfig, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fitted.is_file()
    monkeypatch.setattr(loop, "fit_new_classes", lambda *_: pytest.fail("fitted once more"))
    train(run)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"init": START, "synth_options": {"fonts": "packages"}}, "--fit-new"),
        ({}, "--init"),
    ],
)
def test_a_fit_of_nothing_is_refused(changes: dict[str, object], said: str, tmp_path: Path) -> None:
    run = small_run(tmp_path, **START_IS, alphabet=MORE, fit_new=8, max_steps=0, **changes)
    with refused("--fit-new", said):
        train(run)
