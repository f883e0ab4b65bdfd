"""Completes arguments with the Tab key where a command takes a file or a name."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from crnn_runtime.readers import reader_names
from crnn_runtime.readers.known import KNOWN

PATH = click.Path(readable=False)
"""Any path: the command itself says what is wrong with it."""


class NameOrPath(click.Path):
    """A path, or one of some names, which are offered beside the files.

    Args:
        names: gives them, when they are asked for.
    """

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        super().__init__(readable=False)
        self.names = names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The shell's own completion of files, and the names that begin so."""
        names = (name for name in self.names() if name.startswith(incomplete))
        return [*super().shell_complete(ctx, param, incomplete), *map(CompletionItem, names)]


MODEL = NameOrPath(lambda: [*reader_names(), *KNOWN])
"""A reader: a file that crnn-export wrote, or a name."""
