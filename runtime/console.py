"""What the project's command-line programs share."""

import logging
import os
import sys
from typing import Any

import click

from crnn_runtime.errors import CrnnError

EXIT_SOME_UNREAD = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Command(click.Command):
    """A command that reports a user's mistake in one line and exits with status 2.

    Ctrl-C exits with 130 and a closed pipe quietly; anything else is a defect of
    ours and keeps its traceback.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (click's own signature)
        """Run as a program."""
        logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
        for stream in (sys.stdout, sys.stderr):
            # Paths may hold bytes that are not UTF-8: print them as they are.
            if reconfigure := getattr(stream, "reconfigure", None):
                reconfigure(encoding="utf-8", errors="surrogateescape")
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run the command's function."""
        try:
            return super().invoke(ctx)
        except CrnnError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(EXIT_USAGE)
        except KeyboardInterrupt:
            click.echo("Interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            # The interpreter flushes at exit: give it somewhere to flush to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(EXIT_SOME_UNREAD)
