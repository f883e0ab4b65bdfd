"""The options of ``crnn-infer`` that are for whole pages."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

_JOINED = 1.5  # heights of a line

_OPTIONS = (
    click.option("--page", is_flag=True, help="IMAGES are pages: find their lines first."),
    click.option(
        "--detector", metavar="NAME|FILE",
        help="Text detector that finds them.  [default: the first installed of ppocrv6-tiny-det, "
        "ppocrv6-small-det, ppocrv5-mobile-det, ppocrv4-mobile-det]",
    ),
    click.option(
        "--side", type=click.IntRange(32, 8192),
        help="Longer side in pixels that pages are looked at with.  [default: 1280]",
    ),
    click.option(
        "--join", type=click.FloatRange(0, 20), is_flag=False, flag_value=_JOINED,
        metavar="[HEIGHTS]",
        help=f"Join words on one baseline that are so many heights apart ({_JOINED} if none said).",
    ),
    click.option(
        "--least", type=click.FloatRange(0, 1),
        help="Leave out lines that are read with less confidence; 0 keeps all.  [default: 0.5]",
    ),
    click.option(
        "--upright", is_flag=True, help="No line stands on its head: do not try that."
    ),
    click.option(
        "--as", "kind", type=click.Choice(["text", "json", "hocr", "alto"]),
        help="What a page becomes.  [default: text]",
    ),
    click.option(
        "--out-dir", type=click.Path(file_okay=False, path_type=Path),
        help="Folder for a file of each page, and its lines as pictures with lines.tsv.",
    ),
)  # fmt: skip
_OF_PAGES = ("detector", "side", "join", "least", "upright", "kind", "out_dir")


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """What was asked for; None where nothing was."""

    detector: str | None
    side: int | None
    join: float | None
    least: float | None
    upright: bool
    kind: str | None
    out_dir: Path | None


def page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, in the order in which they are listed."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_page_options(ctx: click.Context, values: dict[str, Any]) -> PageOptions | None:
    """Take the options' values out of all of a command; None where lines are to be read.

    Raises:
        click.UsageError: an option for pages without --page.
    """
    of_pages = {name: values.pop(name) for name in _OF_PAGES}
    if values.pop("page"):
        return PageOptions(**of_pages)
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if name in of_pages and given:
            raise click.UsageError(f"{parameter.opts[0]} is for pages: give --page too")
    return None
