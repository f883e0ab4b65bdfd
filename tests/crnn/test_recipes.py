"""Recipes: every one loads; those of the backbones learn to read."""

import random
from pathlib import Path

import pytest

from crnn.backbones import BACKBONES
from crnn.recipes import load_recipe, recipe_config, recipe_names
from crnn.synth import PRESETS
from crnn.synth.text.generators import SOURCES
from crnn.synth.text.words import Lexicon
from crnn_runtime.model.alphabet import Alphabet
from tools.recipe_check import CHANCE, STEPS, learn


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_run(name: str, tmp_path: Path) -> None:
    data = {"dataset_root": tmp_path} if name.startswith(("plates", "fine-tune")) else {}
    # What the start says, which may be another.
    start = {"arch": "ppocrv6_tiny", "alphabet": "zh"} if name == "fine-tune" else {}
    config = recipe_config(name, tmp_path, **data, **start)
    card = config.card()
    assert card.arch == config.arch == (load_recipe(name) | start)["arch"]
    ends = config.max_steps is not None or config.max_minutes or config.max_epoch <= 2
    assert ends
    presets = [p.removeprefix("synth:") for p, _ in config.mix if p.startswith("synth:")]
    drawn: set[str] = set()
    for preset in filter(None, [config.synth, *presets]):
        drawn |= set(Alphabet.load(PRESETS[preset].alphabet))
    assert set(card.alphabet) <= drawn or not config.synth


def test_every_backbone_has_a_recipe() -> None:
    assert set(recipe_names()) >= set(BACKBONES)
    for arch in BACKBONES:
        assert load_recipe(arch)["arch"] == arch


def test_plates_are_read_in_the_letters_that_plates_have(tmp_path: Path) -> None:
    config = recipe_config("plates", tmp_path, dataset_root=tmp_path)
    plates = SOURCES["plate"]
    lexicon = Lexicon(config.alphabet)
    drawn = {c for seed in range(4000) for c in plates(random.Random(seed), lexicon)}
    assert drawn == set(config.alphabet)


# The dearer backbones have learned in a recorded run, see docs/recipes.md.
@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lite", "ppocrv6_tiny"])
def test_a_backbone_learns_by_its_recipe(arch: str, tmp_path: Path) -> None:
    assert learn(arch, tmp_path).scores["dev"].exact > 4 * CHANCE


def test_the_recorded_run_is_of_every_backbone() -> None:
    assert STEPS.keys() == BACKBONES.keys()
