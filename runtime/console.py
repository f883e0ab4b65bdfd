"""Helpers that all command-line programs of the project share."""

import logging
import os
import sys
from typing import Any, NoReturn

import click

from crnn_runtime.errors import CrnnError, MissingDependencyError

EXIT_SOME_UNREAD = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "rapidfuzz": "train",
    "onnx": "train",
    "PIL": "synth",
    "fontTools": "synth",
    "matplotlib": "synth",
    "onnxscript": "export",
    "fsspec": "bulk",
    "pyarrow": "bulk",
    "ray": "bulk",
    "gradio": "web",
    "fastapi": "label",
    "uvicorn": "label",
}
"""Package that a command may find missing → the extra that brings it."""


class Command(click.Command):
    """A command that reports a user's mistake in one line and exits with status 2.

    Ctrl-C exits with 130 and a closed pipe quietly; anything else is a defect of
    ours and keeps its traceback.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (click's own signature)
        """Run as a program."""
        prepare_streams()
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
        except ModuleNotFoundError as error:
            explain_missing(error)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                where = f"{error.filename}: " if error.filename else ""
                click.echo(f"Error: {where}{error.strerror or error}", err=True)
            # The interpreter flushes at exit: give it somewhere to flush to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(EXIT_SOME_UNREAD if isinstance(error, BrokenPipeError) else EXIT_USAGE)


def prepare_streams() -> None:
    """Sets up logging in one form and takes any path for text; a program does it first."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("crnn_runtime.model").setLevel(logging.INFO)  # how a file was read
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # Paths may hold bytes that are not UTF-8: pass them on as they are.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(encoding="utf-8", errors="surrogateescape")


def explain_missing(error: ModuleNotFoundError) -> NoReturn:
    """Exit with one line that names the extra to install; anything else is raised again."""
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        raise error
    click.echo(f"Error: {MissingDependencyError.of_extra(package, _EXTRAS[package])}", err=True)
    sys.exit(EXIT_USAGE)
