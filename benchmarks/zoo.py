"""The page of the readers that ship, made from their cards.

    python -m crnn_benchmarks.zoo            # writes docs/zoo.md
    python -m crnn_benchmarks.zoo --check    # exit status 1 if it is not what the cards say

Nothing on the page is typed: a figure stands in a card because
`crnn_benchmarks.ship` measured it. What surrounds the tables is benchmarks/zoo.in.md.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from crnn_runtime.backends import open_backend
from crnn_runtime.card import ModelCard
from crnn_runtime.console import Command
from crnn_runtime.files import write_atomically
from crnn_runtime.readers import reader_names, reader_path

_DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = _DOCS / "zoo.md"
_FRAME = Path(__file__).resolve().with_name("zoo.in.md")
_PLACE = "<!-- readers -->\n"


@click.command(cls=Command)
@click.option("--check", is_flag=True, help="Write nothing; say whether the page is up to date.")
@click.pass_context
def main(ctx: click.Context, check: bool) -> None:
    """Write docs/zoo.md from the cards of the shipped readers."""
    text = page()
    if check:
        ctx.exit(PAGE.read_text("utf-8") != text)
    write_atomically(PAGE, lambda part: part.write_text(text, "utf-8"))
    click.echo(f"Wrote {PAGE}")


def page() -> str:
    """The whole page."""
    parts = [
        _reader(name, open_backend(name).card) for name in sorted(reader_names(), reverse=True)
    ]
    return _FRAME.read_text("utf-8").replace(_PLACE, "\n".join(parts))


def _reader(name: str, card: ModelCard) -> str:
    size = reader_path(name).stat().st_size / 1e6
    return "\n".join(
        [
            f"## `{name}`",
            "",
            f"`{card.arch}`, {len(card.alphabet)} characters, {size:.1f} MB, head `{card.head}`. "
            + _training(card.training),
            "",
            "<!-- not run: minutes of measuring, and data that is not part of this project -->",
            "```console",
            f"$ crnn-bench accuracy {name} {' '.join(card.evaluation)}",
            "```",
            "",
            "| data | lines | exact | normalised | CER | normalised |",
            "|---|---|---|---|---|---|",
            *(_row(data, scores) for data, scores in card.evaluation.items()),
            "",
            "Lines of the first validation set exactly right, by steps: "
            + ", ".join(f"{step:,.0f}: {exact:.1%}" for step, exact in card.training["curve"])
            + ".",
            "",
        ]
    )


def _training(training: Mapping[str, Any]) -> str:
    lines = training["steps"] * training["batch_size"]
    return (
        f"Trained by `{training['how']}` (seed {training['seed']}): its last run "
        f"{training['minutes']:.0f} minutes, {training['steps']:,} steps, {lines:,} lines, on "
        f"{training['hardware']}."
    )


def _row(data: str, scores: Mapping[str, Any]) -> str:
    figures = ("exact", "exact_normalized", "cer", "cer_normalized")
    shown = " | ".join(f"{scores[figure]:.2%}" for figure in figures)
    return f"| `{data}` | {scores['lines']} | {shown} |"


if __name__ == "__main__":
    sys.exit(main())
