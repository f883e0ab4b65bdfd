"""Groups of commands that are imported when they are called, not for the list of them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from crnn_runtime.console import explain_missing, prepare_streams


class Entry(NamedTuple):
    """A command of a group: its module, its function there, and its line in the list.

    A module that begins with a dot belongs to the group's package.
    """

    module: str
    function: str
    help: str


class LazyGroup(click.Group):
    """A group that knows its commands by a table: a list or a completion imports none of them.

    Args:
        entries: name → command, in the order of the list.
        package: of the modules that begin with a dot.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 (click's own)
        entries: Mapping[str, Entry],
        package: str | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self.entries, self.package = entries, package

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (click's own signature)
        """Run as a program."""
        prepare_streams()
        return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of the table, then those that the group's own module has."""
        return [*self.entries, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        if (entry := self.entries.get(cmd_name)) is None:
            return super().get_command(ctx, cmd_name)
        try:
            module = import_module(entry.module, self.package)
        except ModuleNotFoundError as error:
            explain_missing(error)
        command: click.Command = getattr(module, entry.function)
        return command

    def describe(self, name: str) -> str:
        """Returns the words with which the list describes a command."""
        entry = self.entries.get(name)
        return entry.help if entry else self.commands[name].get_short_help_str(60)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.describe(name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that begin so, and the group's own options."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=LazyGroup.describe(self, name)) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)
