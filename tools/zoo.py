"""The page of the readers that ship, made from their cards.

    python -m tools.zoo            # writes docs/zoo.md
    python -m tools.zoo --check    # exit status 1 if it is not what the cards say

No figure in a table is typed: it stands in a card because `tools.ship` measured
it, those of other people's readers in benchmarks/results/peers.json. The text around the
tables is tools/zoo.in.md.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from crnn_benchmarks.harness.datasets import SYNTH
from crnn_benchmarks.harness.schema import Accuracy, Report
from crnn_runtime.backends import open_backend
from crnn_runtime.cli.console import Command
from crnn_runtime.files import write_atomically
from crnn_runtime.model.card import ModelCard
from crnn_runtime.readers import reader_names, reader_path

_DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = _DOCS / "zoo.md"
_FRAME = Path(__file__).resolve().with_name("zoo.in.md")
_PLACE = "<!-- readers -->\n"
_PEERS = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "peers.json"
_PEERS_PLACE = "<!-- peers -->\n"


@click.command(cls=Command)
@click.option("--check", is_flag=True, help="Write nothing; say whether the page is up to date.")
@click.pass_context
def main(ctx: click.Context, check: bool) -> None:
    """Write docs/zoo.md from the cards of the shipped readers."""
    text = page()
    if check:
        old = PAGE.read_text("utf-8") != text
        click.echo(f"{PAGE} is {'not what the cards say' if old else 'up to date'}", err=old)
        ctx.exit(old)
    write_atomically(PAGE, lambda part: part.write_text(text, "utf-8"))
    click.echo(f"Wrote {PAGE}")


def page() -> str:
    """The whole page."""
    cards = {name: open_backend(name).card for name in sorted(reader_names(), reverse=True)}
    readers = "\n".join(_reader(name, card) for name, card in cards.items())
    return (
        _FRAME.read_text("utf-8")
        .replace(_PLACE, readers)
        .replace(_PEERS_PLACE, _comparison(cards, Report.read(_PEERS).accuracy))
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
                f"{exact:.1%} after {step:,.0f} steps" for step, exact in card.training["curve"]
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
            f"It began as {training['start']} and was trained by `{training['how']}` on "
            f"{training['hardware']}, with {training['lines']:,} lines in "
            f"{training['minutes']:.0f} minutes. {training['blend']:.0%} of its weights are the "
            f"mean of the runs, the rest is the start. Data: {training['data']}."
        )
    lines = training["steps"] * training["batch_size"]
    return (
        f"It was trained by `{training['how']}` (seed {training['seed']}) on "
        f"{training['hardware']}. The best of the last run ships, after "
        f"{training['minutes']:.0f} minutes of it, {training['steps']:,} steps, {lines:,} lines."
    )


def _row(data: str, scores: Mapping[str, Any]) -> str:
    figures = ("exact", "exact_normalized", "cer", "cer_normalized")
    shown = " | ".join(f"{scores[figure]:.2%}" for figure in figures)
    return f"| `{data}` | {scores['lines']} | {shown} |"


def _comparison(cards: Mapping[str, ModelCard], peers: Sequence[Accuracy]) -> str:
    """Returns the table of lines of the real sets that each reader reads right, exactly and
    normalised.
    """
    ours = {data for card in cards.values() for data in card.evaluation}
    sets = [data for data in dict.fromkeys(row.data.name for row in peers) if data in ours]
    table: dict[str, dict[str, str]] = {}
    for name, card in cards.items():
        if shared := [data for data in sets if data in card.evaluation]:
            row = table[f"`{name}`, {reader_path(name).stat().st_size / 1e6:.1f} MB"] = {}
            for data in shared:
                scores = card.evaluation[data]
                row[data] = _two(scores["exact"], scores["exact_normalized"], scores["lines"])
    for peer in peers:
        if not peer.model.name.endswith(".onnx") and peer.data.name in sets:
            name = f"{peer.model.name} ({peer.model.arch}), {peer.model.size / 1e6:.1f} MB"
            exact, normalised = (peer.scores[key].value for key in ("exact", "exact_normalized"))
            table.setdefault(name, {})[peer.data.name] = _two(exact, normalised, peer.data.lines)
    lines = [
        f"| reader | {' | '.join(f'`{data}`' for data in sets)} |",
        f"|---|{'---|' * len(sets)}",
        *(
            f"| {name} | {' | '.join(row.get(data, '–') for data in sets)} |"
            for name, row in table.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _two(exact: float, normalised: float, lines: int) -> str:
    return f"{exact:.1%} / {normalised:.1%} of {lines}"


if __name__ == "__main__":
    sys.exit(main())
