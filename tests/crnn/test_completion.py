"""The Tab key after the options of ``crnn-train`` and ``crnn-export``."""

import click
import pytest
from click.shell_completion import BashComplete

from crnn.backbones import BACKBONES
from crnn.cli.train import main as train
from crnn.recipes import recipe_names
from crnn_export.cli.export import main as export


def offered(command: click.Command, *words: str) -> list[tuple[str, str]]:
    found = BashComplete(command, {}, "x", "_X").get_completions(list(words[:-1]), words[-1])
    return [(item.type, item.value) for item in found]


def test_recipes_are_offered_beside_files() -> None:
    names = [name for name in recipe_names() if name.startswith("pl")]
    assert len(names) > 1
    assert offered(train, "--recipe", "pl") == [("file", "pl"), *(("plain", n) for n in names)]


@pytest.mark.parametrize("command", [train, export])
def test_architectures_are_offered(command: click.Command) -> None:
    names = [name for name in BACKBONES if name.startswith("d")]
    assert len(names) > 1
    assert offered(command, "--arch", "d") == [("plain", name) for name in names]


def test_an_export_is_offered_files_and_readers() -> None:
    assert offered(export, "lat") == [("file", "lat"), ("plain", "latin")]
    assert offered(export, "--ckpt", "x") == offered(export, "--data", "x") == [("file", "x")]
