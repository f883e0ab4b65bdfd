"""``crnn-infer``: read lines of text from the command line."""

import json
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from crnn_runtime.cli.completion import MODEL, PATH
from crnn_runtime.cli.decoding_options import decoding_options, to_decoding
from crnn_runtime.cli.model_options import (
    alphabet_option,
    card_option,
    device_option,
    list_option,
    threads_option,
    turn_option,
)
from crnn_runtime.cli.page_options import page_options, take_page_options
from crnn_runtime.cli.pages import read_pages_of
from crnn_runtime.console import EXIT_SOME_UNREAD, Command
from crnn_runtime.picture.files import iter_paths, listed_paths
from crnn_runtime.picture.messages import DecoderMessages, silence_opencv

if TYPE_CHECKING:
    from crnn_runtime.line import Line
    from crnn_runtime.recognizer import Recognizer


_COUNTED = 100_000
"""The progress bar counts so many paths beforehand; if there are more, it shows no total."""


def _batch_size(ctx: click.Context, param: click.Parameter, value: str) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    number: int = click.IntRange(min=1)(value, param, ctx)
    return number


@click.command(cls=Command)
@click.argument("model", type=MODEL)
@click.argument("images", nargs=-1, required=True, type=PATH)
@click.option("--raw", is_flag=True, help="Print the best class of every time step => the text.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@device_option
@threads_option
@click.option(
    "--batch-size",
    metavar="auto|INTEGER",
    callback=_batch_size,
    default="auto",
    show_default=True,
    help="Lines inferred together at most; auto: as many as make 4,096 columns of pixels "
    "(32,768 on a GPU), 64 at most.",
)
@card_option
@alphabet_option
@turn_option
@decoding_options
@page_options
@list_option
@click.version_option(package_name="crnn")
@click.pass_context
def main(
    ctx: click.Context,
    /,
    model: str,
    images: tuple[str, ...],
    raw: bool,
    as_json: bool,
    device: str | None,
    threads: int | None,
    batch_size: int | Literal["auto"],
    card: str | None,
    alphabet: str | None,
    turn: Literal["auto"] | None,
    **options: Any,  # noqa: ANN401 (see `decoding_options` and `page_options`)
) -> None:
    """Read the line of text in each of IMAGES with MODEL, or with --page all lines of pages.

    MODEL is a file that crnn-export wrote, the name of a shipped reader (--list), a
    recognition model of PP-OCR in ONNX, or any line reader in ONNX with a --card.
    IMAGES are files, folders, globs, or - for a list of files on standard input.
    Links to folders within a folder are not followed.

    Prints "path<TAB>text" in the
    order given, folder by folder and sorted within, as lines are read; memory does
    not grow with their number. Tabs and line ends in a path appear as \\t, \\n and
    \\r; in --json, bytes that are not UTF-8 as \\udc80 to \\udcff.

    With --page IMAGES are photographs or scans of pages. Their lines are printed in
    reading order, with an empty line between blocks and a form feed after each page.

    Exit status: 0 all were read, 1 some could not be (named on standard error),
    2 wrong usage.
    """
    from crnn_runtime.recognizer import Recognizer  # noqa: PLC0415

    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other")
    pages = take_page_options(ctx, options)
    silence_opencv()
    unread = 0
    with Recognizer(
        model,
        device=device,
        threads=threads,
        batch_size=batch_size,
        card=card,
        alphabet=alphabet,
        turn=turn,
        decoder=to_decoding(ctx, as_json=as_json, **options),
    ) as recognizer:
        if pages is not None:
            unread = read_pages_of(
                recognizer, images, pages, device=device, threads=threads, raw=raw, as_json=as_json
            )
            images = ()
        for path, line, warning, say in _read(recognizer, images) if images else ():
            if line.error:
                unread += 1
                say(f"{_shown(path)}: {_reason(path, line.error)}")
                continue
            if warning:
                say(f"{_shown(path)}: warning, the picture may be damaged: {warning}")
            click.echo(format_line(path, line, raw=raw, as_json=as_json))
    if unread:
        ctx.exit(EXIT_SOME_UNREAD)


def _read(
    recognizer: "Recognizer", images: tuple[str, ...]
) -> Iterator[tuple[str, "Line", str, Callable[[str], None]]]:
    """Each path, its line, the decoder's warning, and a function that writes to the terminal."""
    from crnn_runtime.stream import PAUSE, Pause  # noqa: PLC0415 (numpy: not for --help)

    ahead: deque[str] = deque()  # paths whose lines are still to come

    def paths() -> Iterator[str | Pause]:
        for image in images:
            for path in listed_paths() if image == "-" else iter_paths([image]):
                if path is not None:
                    ahead.append(path)
                yield PAUSE if path is None else path

    with (
        DecoderMessages() as messages,
        _progress(images) as (step, say),
        closing(recognizer.stream(paths(), errors="return")) as lines,
    ):
        for line in lines:
            path = ahead.popleft()
            yield path, line, messages.of(path), say
            step()


@contextmanager
def _progress(
    images: tuple[str, ...],
) -> Generator[tuple[Callable[[], None], Callable[[str], None]], None, None]:
    """A bar on standard error, if that is a terminal and standard output is not.

    Yields two functions: one advances the bar, the other writes a line above it.
    """
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None, lambda text: click.echo(text, err=True)
        return
    length = None
    if "-" not in images:
        count = sum(1 for _ in islice(iter_paths(images), _COUNTED + 1))
        length = count if count <= _COUNTED else None
    with click.progressbar(
        iter(()) if length is None else None, length=length, label="lines", show_pos=True,
        file=sys.stderr, update_min_steps=16,
    ) as bar:  # fmt: skip
        yield lambda: bar.update(1), lambda text: click.echo(f"\r\x1b[K{text}", err=True)
        bar.update_min_steps = 1
        bar.update(0)  # older releases of click leave out what was not shown yet


def _shown(path: str) -> str:
    """A path as it is printed: tabs and line ends are escaped."""
    return path.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _reason(path: str, error: str) -> str:
    """Returns why an image could not be read; a folder is a reason of its own."""
    if not Path(path).is_dir():
        return error
    try:
        os.scandir(path).close()
    except OSError as denied:
        return f"cannot read the folder: {denied.strerror}"
    return "no image in this folder"


def _finite(value: float) -> float | None:
    """A number for JSON, which has no infinity: the logarithm of 0 becomes null."""
    return round(value, 4) if math.isfinite(value) else None


def format_line(path: str, line: "Line", *, raw: bool, as_json: bool) -> str:
    """One line of output."""
    if as_json:
        chars = [
            {"char": c.char, "confidence": round(c.confidence, 4),
             "x0": round(c.x0, 1), "x1": round(c.x1, 1)}
            for c in line.chars
        ]  # fmt: skip
        content = {
            "path": path,
            "text": line.text,
            "confidence": round(line.confidence, 4),
            "chars": chars,
        }
        if line.turned:
            content["turned"] = line.turned
        if line.alternatives:
            content["alternatives"] = [
                {"text": a.text, "log_prob": _finite(a.log_prob), "score": _finite(a.score)}
                for a in line.alternatives
            ]
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        # Bytes of a path that are not UTF-8 are lone surrogates here: escape them as JSON does.
        return text.encode("utf-8", "backslashreplace").decode()
    text = f"{line.raw} => {line.text}" if raw else line.text
    return f"{_shown(path)}\t{text}"


if __name__ == "__main__":
    main()
