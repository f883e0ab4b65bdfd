"""``crnn-lm``: a character n-gram language model from a text file."""

from collections.abc import Iterator
from pathlib import Path

import click

from crnn_runtime.console import Command
from crnn_runtime.decode.ngram import MAX_ORDER, build_ngrams
from crnn_runtime.files import read_text, write_atomically


def _read_lines(path: Path) -> Iterator[str]:
    text = read_text(path, "text")
    # Tabs cannot stand in an ARPA file, and no reader of lines tells them from spaces.
    yield from (line.replace("\t", " ").strip(" \r") for line in text.split("\n"))


@click.command(cls=Command)
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="ARPA file to write.")
@click.option(
    "--order",
    type=click.IntRange(1, MAX_ORDER),
    default=5,
    show_default=True,
    help="Characters of the longest n-gram.",
)
@click.version_option(package_name="crnn")
def main(texts: tuple[Path, ...], out: Path, order: int) -> None:
    """Make a character language model (ARPA) of the lines of TEXTS.

    TEXTS are UTF-8 files that hold lines like those to be read. Give the model
    to crnn-infer with --lm; KenLM's build_binary makes it load faster.
    """
    content = build_ngrams((line for path in texts for line in _read_lines(path)), order)
    write_atomically(out, lambda part: part.write_text(content, encoding="utf-8"))
    click.echo(f"Wrote {out}: order {order}, {content.count(chr(10))} lines")
