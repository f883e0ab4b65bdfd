"""The options of ``crnn-infer`` that say how outputs become text."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from crnn_runtime.errors import CrnnError

if TYPE_CHECKING:
    from crnn_runtime.decode.decoding import Decoding

_NBEST = click.option(
    "--nbest",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of alternatives that --json shows.",
)
_OPTIONS = (
    click.option(
        "--decoder",
        "method",
        type=click.Choice(["greedy", "beam"]),
        help="Best path or prefix beam search.  [default: what the other options need]",
    ),
    click.option(
        "--beam-width",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        help="Prefixes kept per time step.",
    ),
    click.option(
        "--top-k",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        help="Classes tried per time step.",
    ),
    _NBEST,
    click.option(
        "--lm",
        type=click.Path(),
        help="Character language model: ARPA (see crnn-lm) or KenLM binary.",
    ),
    click.option("--lm-weight", type=float, default=0.5, show_default=True, help="Weight of --lm."),
    click.option(
        "--length-bonus",
        type=float,
        default=0.0,
        show_default=True,
        help="Added to the score per character, with --lm.",
    ),
    click.option("--lexicon", type=click.Path(), help="Read only texts that stand in this file."),
    click.option("--allow", metavar="CHARS|@FILE", help="Read only these characters."),
    click.option("--deny", metavar="CHARS|@FILE", help="Never read these characters."),
)


def decoding_options(command: Callable[..., Any], *, nbest: bool = True) -> Callable[..., Any]:
    """Add the options to a command, in the order in which they are listed.

    Args:
        command: a function that click makes a command of.
        nbest: whether the command has something to show alternatives in.
    """
    for option in reversed(_OPTIONS):
        if nbest or option is not _NBEST:
            command = option(command)
    return command


def to_decoding(
    ctx: click.Context,
    *,
    as_json: bool,
    allow: str | None,
    deny: str | None,
    **options: Any,  # noqa: ANN401
) -> "Decoding":
    """The options' values → the `Decoding` that `Recognizer` takes.

    Raises:
        CrnnError: the values exclude each other, an option would have no effect, or a
            file cannot be read.
    """
    from crnn_runtime.decode.characters import read_characters  # noqa: PLC0415 (numpy: not for --help)
    from crnn_runtime.decode.decoding import Decoding  # noqa: PLC0415

    decoding = Decoding(
        allow=None if allow is None else read_characters(allow),
        deny="" if deny is None else read_characters(deny),
        **options,
    )
    _check_effect(ctx, decoding, as_json=as_json)
    return decoding


def _check_effect(ctx: click.Context, decoding: "Decoding", *, as_json: bool) -> None:
    def given(name: str) -> bool:
        return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE

    for name in ("lm_weight", "length_bonus"):
        if given(name) and decoding.lm is None:
            raise CrnnError(f"{_flag(name)} balances a language model: give --lm too")
    for name in ("beam_width", "top_k"):
        if given(name) and decoding.lexicon is not None:
            raise CrnnError(f"{_flag(name)} has no effect: the search in a lexicon is exact")
        if given(name) and not decoding.searches:
            raise CrnnError(f"{_flag(name)} needs the beam search: give --decoder beam too")
    if given("nbest") and not as_json:
        raise CrnnError("only --json shows the alternatives of --nbest: give --json too")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
