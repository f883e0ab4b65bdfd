"""The options of commands that read whole pages."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from crnn_runtime.page.detect import Detection
    from crnn_runtime.page.reading import Reading

_JOINED = 1.5  # heights of a line

_FINDING = (
    click.option(
        "--detector", metavar="NAME|FILE",
        help="Text detector that finds the lines.  [default: the first installed of "
        "ppocrv6-tiny-det, ppocrv6-small-det, ppocrv5-mobile-det, ppocrv4-mobile-det]",
    ),
    click.option(
        "--side", type=click.IntRange(32, 8192),
        help="Longer side in pixels to which larger pages are scaled for the detector.  "
        "[default: 1280]",
    ),
    click.option(
        "--join", type=click.FloatRange(0, 20), is_flag=False, flag_value=_JOINED,
        metavar="[HEIGHTS]",
        help="Join words on one baseline that are at most this many heights apart "
        f"({_JOINED} without a number).",
    ),
    click.option(
        "--least", type=click.FloatRange(0, 1),
        help="Leave out lines that are read with less confidence; 0 keeps all.  [default: 0.5]",
    ),
    click.option(
        "--upright", is_flag=True, help="All lines are upright: do not try them upside down."
    ),
)  # fmt: skip
_OUTPUT = (
    click.option(
        "--as", "kind", type=click.Choice(["text", "json", "hocr", "alto"]),
        help="Output for each page.  [default: text]",
    ),
    click.option(
        "--out-dir", type=click.Path(file_okay=False, path_type=Path),
        help="Folder for a file of each page, and its lines as pictures with lines.tsv.",
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FindingOptions:
    """The options for finding and reading lines that a user gave; None for each other."""

    detector: str | None
    side: int | None
    join: float | None
    least: float | None
    upright: bool

    def detection(self) -> "Detection":
        """Returns the options for finding lines."""
        from crnn_runtime.page.detect import Detection  # noqa: PLC0415 (not for --help)

        given = {"side": self.side, "join": self.join}
        return Detection(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    def reading(self, *, crops: bool = False) -> "Reading":
        """Returns the options for reading the lines that were found."""
        from crnn_runtime.page.reading import Reading  # noqa: PLC0415 (not for --help)

        given = {} if self.least is None else {"least": self.least}
        return Reading(upright=self.upright, crops=crops, **given)


@dataclass(frozen=True, kw_only=True)
class PageOptions(FindingOptions):
    """The options of ``crnn-infer`` for pages, those for finding and reading lines included."""

    kind: str | None
    out_dir: Path | None


_Kind = TypeVar("_Kind", bound=FindingOptions)


def page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--page`` and all options for pages to a command, in the order of the list."""
    flag = click.option(
        "--page", "--pages", is_flag=True, help="IMAGES are pages: find their lines first."
    )
    return _added(command, (flag, *_FINDING, *_OUTPUT))


def finding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--pages`` and the options of finding lines to a command."""
    flag = click.option("--pages", is_flag=True, help="Pictures are pages: find their lines first.")
    return _added(command, (flag, *_FINDING))


def _added(
    command: Callable[..., Any], options: tuple[Callable[..., Any], ...]
) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def take_page_options(ctx: click.Context, values: dict[str, Any]) -> PageOptions | None:
    """Take the options' values out of all of a command; None where lines are to be read.

    Raises:
        click.UsageError: an option for pages without --page, or --turn with it.
    """
    return _taken(ctx, values, PageOptions, "page")


def take_finding_options(ctx: click.Context, values: dict[str, Any]) -> FindingOptions | None:
    """The same for `finding_options`, with --pages."""
    return _taken(ctx, values, FindingOptions, "pages")


def _taken(
    ctx: click.Context, values: dict[str, Any], kind: type[_Kind], flag: str
) -> _Kind | None:
    of_pages = {each.name: values.pop(each.name) for each in dataclasses.fields(kind)}
    if values.pop(flag):
        if ctx.params.get("turn"):
            raise click.UsageError("--turn is for lines: those of pages are turned without it")
        return kind(**of_pages)
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if name in of_pages and given:
            raise click.UsageError(f"{parameter.opts[0]} is for pages: give --{flag} too")
    return None
