"""Completes recipes and architectures with the Tab key."""

import click

from crnn_runtime.cli.completion import NameOrPath


def _recipes() -> list[str]:
    from crnn.recipes import recipe_names  # noqa: PLC0415 (not for --help)

    return recipe_names()


RECIPE = NameOrPath(_recipes)
"""A recipe of the package, or a file."""


def complete_arch(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Architectures that begin so. This imports PyTorch, which takes a second or two."""
    from crnn.backbones import BACKBONES  # noqa: PLC0415

    return [name for name in BACKBONES if name.startswith(incomplete)]
