"""Fine-tuning with another alphabet, for real: the old characters stay, the new ones come.

The old reader has 36 characters and reads short, crisp lines of one font, which can be
learnt in seconds. The ten Chinese characters are those of a generated font, so that the
test runs where there is no Chinese one.
"""

import random
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import pytest
from han_font import write_han_font

from crnn.checkpoints import load_checkpoint
from crnn.synth import Synthesizer
from crnn.synth.picture.looks import LOOKS, PLAIN
from crnn.synth.presets import PRESETS, Preset
from crnn.synth.text.generators import SOURCES
from crnn.synth.text.words import Lexicon
from crnn.training import TrainConfig, train
from crnn_runtime.model.alphabet import Alphabet

LATIN = Alphabet("0123456789abcdefghijklmnopqrstuvwxyz")
HAN = "的一是不了在人有我他"
FONT = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSerif.ttf"
CRISP = PLAIN.but(
    height=(32, 32), crop=(0.05, 0.15), sides=(0.1, 0.3), stretch=(0.8, 0.9), latin_face=1.0,
    spacing=(1, 0.12, 0.12), word_space=(0, 0, 0), grey=1.0, texture=(0, 3),
)  # fmt: skip


def latin_text(rng: random.Random, _: Lexicon) -> str:
    """Any characters between a high and a deep one, which show how large the letters are."""
    middle = "".join(rng.choices(list(LATIN), k=rng.randint(1, 3)))
    return rng.choice("bdfhklt0123456789") + middle + rng.choice("gpqyj")


def mixed_text(rng: random.Random, lexicon: Lexicon) -> str:
    """As wide as the others: batches hold lines of one width, and should hold both kinds."""
    if rng.random() < 0.5:
        return "".join(rng.choices(HAN, k=rng.randint(2, 3)))
    return rng.choice(HAN) + latin_text(rng, lexicon)[1:]


def write_lines(root: Path, seed: int, **counts: int) -> Path:
    """A data set of old lines, as one has it on disk."""
    (root / "images").mkdir(parents=True)
    for number, (split, count) in enumerate(counts.items()):
        synthesizer = Synthesizer("test-latin", seed + number, fonts=[FONT], alphabet=LATIN)
        rows = []
        for index in range(count):
            sample = synthesizer.line(index)
            name = f"{split}{index}.png"
            data = cv2.imencode(".png", cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY))[1]
            (root / "images" / name).write_bytes(data.tobytes())
            rows.append(f"{name}\t{sample.text}\n")
        (root / f"{split}.tsv").write_text("".join(rows), "utf-8")
    return root


def config(directory: Path, steps: int, **changes: Any) -> TrainConfig:  # noqa: ANN401
    options: dict[str, Any] = {
        "arch": "lite", "batch_size": 32, "max_steps": steps, "max_epoch": 1000, "dev_lines": 150,
        "synth_lines": 100_000, "workers": 0, "threads": 1, "print_freq": 50, "save_interval": 0,
    }  # fmt: skip
    return TrainConfig(directory=directory, **(options | changes))


@pytest.mark.slow
def test_ten_new_characters_are_learnt_and_the_old_ones_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOOKS, "crisp", CRISP)
    for name, text in (("test-latin", latin_text), ("test-mixed", mixed_text)):
        preset = Preset(summary="", alphabet="latin", text={name: 1}, looks={"crisp": 1})
        monkeypatch.setitem(SOURCES, name, text)
        monkeypatch.setitem(PRESETS, name, preset)
    han = write_han_font(tmp_path / "han.ttf", HAN)
    replay = write_lines(tmp_path / "old-lines", seed=1, train=1200, dev=300)

    old = train(
        config(
            tmp_path / "old", 240, alphabet=LATIN, synth="test-latin",
            synth_options={"fonts": [str(FONT)]}, lr=6e-3, align=0.4,
        )
    )  # fmt: skip
    both = Alphabet([*LATIN, *HAN])
    new = train(
        config(
            tmp_path / "new", 340, alphabet=both, synth="test-mixed",
            synth_options={"fonts": [str(FONT), str(han)]}, lr=2e-3, align=0.2, ema=0.995,
            init=old.best, mix=((str(replay), 0.7),),
        )
    )  # fmt: skip
    card = load_checkpoint(new.best).card
    assert card is not None
    assert card.alphabet == both

    before, after = new.before[str(replay)], new.scores[str(replay)].exact
    assert new.before["dev"] < 0.05, "nobody can read characters that are not in the alphabet"
    assert before > 0.95, "an old reader worth keeping"
    assert after >= 0.99 * before
    assert new.scores["dev"].exact > 0.9
    assert new.scores["dev"].cer < 0.03
