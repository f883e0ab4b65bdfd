"""Whether each backbone learns by its recipe, on a task small enough for one CPU core.

    python -m tools.recipe_check
    python -m tools.recipe_check --arch lite --arch resnet_cifar

The task: one or two of the digits 0 to 3, on lines of 32 x 32 pixels, from nothing. Who
always answers the same reads at most 12.5 % of the lines. Optimiser, learning rate, schedule
and alignment are the recipe's; data, batch size and length are the task's.
"""

import dataclasses
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from crnn.backbones import BACKBONES
from crnn.recipes import load_recipe, recipe_config
from crnn.synth import PRESETS
from crnn.synth.text.generators import SOURCES
from crnn.synth.text.words import Lexicon
from crnn.training import TrainResult, train
from crnn_runtime.console import Command
from crnn_runtime.model.alphabet import Alphabet

CHANCE = 0.125
STEPS = {
    "densenet_cifar": 120,
    "densenet121": 120,
    "resnet_cifar": 200,
    "mobilenetv2_cifar": 250,
    "shufflenetv2_cifar": 300,
    "vgg_bilstm": 300,
    "dtrb_vgg": 300,
    "dtrb_resnet": 300,
    "lite": 150,
    "pplcnetv3": 600,
    "ppocrv6_tiny": 150,
    "ppocrv6_small": 200,
}
"""Backbone → steps of 16 lines that are enough for it, and no more."""

_NAME, _DIGITS, _SIDE = "one-or-two-digits", "0123", 32


def _one_or_two(rng: random.Random, lexicon: Lexicon) -> str:
    return "".join(rng.choices(_DIGITS, k=rng.randint(1, 2)))


@contextmanager
def _preset() -> Iterator[None]:
    SOURCES[_NAME] = _one_or_two
    PRESETS[_NAME] = dataclasses.replace(PRESETS["digits"], text={_NAME: 1})
    try:
        yield
    finally:
        del SOURCES[_NAME], PRESETS[_NAME]


def learn(arch: str, directory: Path) -> TrainResult:
    """Train ``arch`` by its recipe on the small task, in this process, on one thread."""
    config = recipe_config(
        arch,
        directory,
        synth=_NAME,
        synth_options=load_recipe("digits")["synth_options"],  # plain print
        alphabet=Alphabet(_DIGITS),
        width=_SIDE,
        batch_size=16,
        synth_lines=100_000,
        max_steps=STEPS[arch],
        dev_lines=200,
        validate_steps=0,
        save_steps=0,
        save_interval=0,
        print_freq=10,
        threads=1,
        workers=0,
    )
    with _preset():
        return train(config)


@click.command(cls=Command)
@click.option("--arch", multiple=True, type=click.Choice([*BACKBONES]), help="[default: all]")
def main(arch: tuple[str, ...]) -> None:
    """Train each backbone by its recipe on the small task and print how well it reads."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    click.echo("| backbone | learning rate | lines seen | of 200 fresh lines | processor time |")
    click.echo("|---|---|---|---|---|")
    for name in arch or BACKBONES:
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            result = learn(name, Path(folder))
        rate = load_recipe(name)["lr"]
        seconds = time.process_time() - started
        click.echo(
            f"| `{name}` | {rate:.0e} | {16 * result.steps:,} | {result.scores['dev'].exact:.1%} "
            f"| {seconds:.0f} s |"
        )


if __name__ == "__main__":
    main()
