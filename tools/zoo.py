"""Writes the pages' tables of the readers that ship, from their cards and from recorded results.

    python -m tools.zoo            # writes docs/zoo.md, the table of README.md and its picture
    python -m tools.zoo --check    # exit status 1 if they are not what was measured

No figure in a table is typed: it stands in a card because `tools.ship` measured it, those
beside other people's readers in benchmarks/results/peers.json. The text around the tables of
docs/zoo.md is tools/zoo.in.md.
"""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from crnn_benchmarks.harness.datasets import SYNTH
from crnn_benchmarks.harness.schema import Report
from crnn_runtime.backends import open_backend
from crnn_runtime.console import Command
from crnn_runtime.files import write_atomically
from crnn_runtime.model.card import ModelCard
from crnn_runtime.readers import reader_names, reader_path
from tools import readers_table

_DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = _DOCS / "zoo.md"
_FRAME = Path(__file__).resolve().with_name("zoo.in.md")
_PLACE = "<!-- readers -->\n"
COMMANDS_OF = "the commands of "
_PEERS_PLACE = "<!-- peers -->\n"


@click.command(cls=Command)
@click.option("--check", is_flag=True, help="Write nothing; say whether all is up to date.")
@click.pass_context
def main(ctx: click.Context, check: bool) -> None:
    """Write docs/zoo.md, the table of readers in README.md and its picture."""
    recorded = Report.read(readers_table.RECORDED)
    texts = {
        PAGE: page(recorded),
        readers_table.README: readers_table.filled(
            readers_table.README.read_text("utf-8"), recorded
        ),
    }
    if check:
        old = [path.name for path, text in texts.items() if path.read_text("utf-8") != text]
        if not readers_table.picture_is_of(recorded, readers_table.PICTURE.read_text("utf-8")):
            old.append(readers_table.PICTURE.name)
        click.echo(
            f"not what was measured: {', '.join(old)}" if old else "up to date", err=bool(old)
        )
        ctx.exit(bool(old))
    for path, text in texts.items():
        write_atomically(path, partial(Path.write_text, data=text, encoding="utf-8"))
    drawn = readers_table.picture(recorded)
    write_atomically(readers_table.PICTURE, lambda part: part.write_bytes(drawn))
    click.echo(f"Wrote {', '.join(map(str, (*texts, readers_table.PICTURE)))}")


def page(recorded: Report) -> str:
    """The page of the zoo."""
    cards = {name: open_backend(name).card for name in sorted(reader_names(), reverse=True)}
    readers = "\n".join(_reader(name, card) for name, card in cards.items())
    return (
        _FRAME.read_text("utf-8")
        .replace(_PLACE, readers)
        .replace(_PEERS_PLACE, readers_table.whole_table(recorded))
    )


def _reader(name: str, card: ModelCard) -> str:
    size = reader_path(name).stat().st_size / 1e6
    return "\n".join(
        [
            f"### `{name}`",
            "",
            f"`{card.arch}`, {len(card.alphabet):,} characters, {size:.1f} MB, head `{card.head}`. "
            + _training(card.training),
            "",
            "<!-- not run: minutes of measuring, and data that is not part of this project -->",
            "```console",
            _wrapped(f"$ crnn-bench accuracy {name} {' '.join(map(_argument, card.evaluation))}"),
            "```",
            "",
            "| data | lines | exact | normalised | CER | normalised |",
            "|---|---|---|---|---|---|",
            *(_row(data, scores) for data, scores in card.evaluation.items()),
            "",
            "Lines of the first validation set exactly right, in the last run: "
            + ", ".join(
                f"{exact:.1%} after {step:,.0f} steps"
                for step, exact in card.training["curve"]
                if step
            )
            + ".",
            "",
        ]
    )


def _wrapped(command: str) -> str:
    """Over as many lines as fit the width of a page."""
    return " \\\n    ".join(wrap(command, 78, break_long_words=False, break_on_hyphens=False))


def _argument(data: str) -> str:
    """A set as `crnn-bench accuracy` takes it; the page says what DATA is."""
    return data if data.startswith(SYNTH) else f"DATA/{data}"


def _training(training: Mapping[str, Any]) -> str:
    if "runs" in training:  # of `tools.soup`
        return (
            f"It began as {training['start']} and was trained {_how(training)} on "
            f"{training['hardware']}, with {training['lines']:,} lines in "
            f"{training['minutes']:.0f} minutes. {training['blend']:.0%} of its weights are the "
            f"mean of the runs, the rest is the start. Data: {training['data']}."
        )
    lines = training["steps"] * training["batch_size"]
    return (
        f"It was trained {_how(training)} (seed {training['seed']}) on "
        f"{training['hardware']}. The best of the last run ships, after "
        f"{training['minutes']:.0f} minutes of it, {training['steps']:,} steps, {lines:,} lines."
    )


def _how(training: Mapping[str, Any]) -> str:
    """The file with the commands, or the command."""
    _, is_file, file = training["how"].partition(COMMANDS_OF)
    return f"with the commands in `{file}`" if is_file else f"by `{training['how']}`"


def _row(data: str, scores: Mapping[str, Any]) -> str:
    figures = ("exact", "exact_normalized", "cer", "cer_normalized")
    shown = " | ".join(f"{scores[figure]:.2%}" for figure in figures)
    return f"| `{data}` | {scores['lines']} | {shown} |"


if __name__ == "__main__":
    sys.exit(main())
