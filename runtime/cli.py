"""``crnn-infer``: read lines of text from the command line."""

import glob
import json
import math
import os
import select
import sys
from collections import deque
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from crnn_runtime.cli_decoding import decoding_options, to_decoding
from crnn_runtime.console import EXIT_SOME_UNREAD, Command, DecoderMessages
from crnn_runtime.errors import CrnnError
from crnn_runtime.readers import reader_names, reader_path

if TYPE_CHECKING:
    from crnn_runtime.line import Line
    from crnn_runtime.recognizer import Recognizer

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
)
"""Files that are read when a folder is given."""

_COUNTED = 100_000
"""Paths that are counted beforehand for the progress bar; of more the total is not known."""


def _batch_size(ctx: click.Context, param: click.Parameter, value: str) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    number: int = click.IntRange(min=1)(value, param, ctx)
    return number


card_option = click.option(
    "--card",
    type=click.Path(),
    help="Model card (JSON) of an ONNX file that has none inside, see docs/foreign.md.",
)
list_option = click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, wanted: list_readers(ctx) if wanted else None,
    help="List the readers that ship with the package and exit.",
)


@click.command(cls=Command)
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@click.option("--raw", is_flag=True, help="Print the best class of every time step => the text.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--device", help="cpu or cuda.  [default: cpu for ONNX, cuda for engines]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads (default: all allowed).")
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
@decoding_options
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
    **decoding: Any,  # noqa: ANN401 (see `decoding_options`)
) -> None:
    """Read the line of text in each of IMAGES with MODEL.

    MODEL is a file that crnn-export wrote, the name of a shipped reader (--list), a
    recognition model of PP-OCR in ONNX, or any line reader in ONNX with a --card.
    IMAGES are files, folders, globs, or - for a list of files on standard input.
    Links to folders within a folder are not followed. Prints "path<TAB>text" in the
    order given, folder by folder and sorted within, as lines are read; memory does
    not grow with their number. Tabs and line ends in a path appear as \\t, \\n and
    \\r; in --json, bytes that are not UTF-8 as \\udc80 to \\udcff.

    Exit status: 0 all were read, 1 some could not be (named on standard error),
    2 wrong usage.
    """
    # Imported here because --help must not wait for numpy and OpenCV.
    import cv2  # noqa: PLC0415

    from crnn_runtime.recognizer import Recognizer  # noqa: PLC0415

    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other")
    cv2.utils.logging.setLogLevel(0)
    recognizer = Recognizer(
        model,
        device=device,
        threads=threads,
        batch_size=batch_size,
        card=card,
        decoder=to_decoding(ctx, as_json=as_json, **decoding),
    )
    unread = 0
    for path, line, warning, say in _read(recognizer, images):
        if line.error:
            unread += 1
            say(f"{_shown(path)}: {_reason(path, line.error)}")
            continue
        if warning:
            say(f"{_shown(path)}: warning, the picture may be damaged: {warning}")
        click.echo(format_line(path, line, raw=raw, as_json=as_json))
    if unread:
        ctx.exit(EXIT_SOME_UNREAD)


def list_readers(ctx: click.Context) -> None:
    """Print the shipped readers: name, alphabet, size, and how well each reads what."""
    from crnn_runtime.backends import open_backend  # noqa: PLC0415 (numpy: not for --help)

    for name in reader_names():
        path = reader_path(name)
        card = open_backend(path).card
        shown = "".join(card.alphabet.characters[:_SHOWN])
        shown += "…" * (len(card.alphabet) > _SHOWN)
        click.echo(
            f"{name}\t{card.arch}, {path.stat().st_size / 1e6:.1f} MB, "
            f"{len(card.alphabet)} characters: {shown}"
        )
        for data, scores in card.evaluation.items():
            click.echo(
                f"\t{scores['exact']:6.1%} of {scores['lines']} lines exactly right"
                f" ({scores['exact_normalized']:.1%} normalised): {data}"
            )
    ctx.exit()


def _read(
    recognizer: "Recognizer", images: tuple[str, ...]
) -> Iterator[tuple[str, "Line", str, Callable[[str], None]]]:
    """Every path, its line, what the decoder said of it, and how to write to the terminal."""
    from crnn_runtime.damage import DamageWatch  # noqa: PLC0415 (numpy: not for --help)

    ahead: deque[str] = deque()  # paths whose lines are still to come

    def paths() -> Iterator[str | None]:
        for image in images:
            for path in _listed() if image == "-" else iter_paths([image]):
                if path is not None:
                    ahead.append(path)
                yield path

    with DecoderMessages() as messages, _progress(images) as (step, say):
        watch = DamageWatch(messages)
        with closing(recognizer.stream(paths(), errors="return", load=watch.load)) as lines:
            for line in lines:
                path = ahead.popleft()
                yield path, line, watch.take(path), say
                step()


@contextmanager
def _progress(
    images: tuple[str, ...],
) -> Generator[tuple[Callable[[], None], Callable[[str], None]], None, None]:
    """A bar on standard error while a person looks at it and the lines go elsewhere.

    Gives what advances it and what writes a line without spoiling it.
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


def _shown(path: str) -> str:
    """A path in one field of one line."""
    return path.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _reason(path: str, error: str) -> str:
    """Why an image could not be read, also if it is a folder."""
    if not Path(path).is_dir():
        return error
    try:
        os.scandir(path).close()
    except OSError as denied:
        return f"cannot read the folder: {denied.strerror}"
    return "no image in this folder"


def iter_paths(images: Iterable[str]) -> Iterator[str]:
    """Expand folders, globs and ``-`` (paths on standard input, one a line).

    What holds no image is given as it is, so that reading it says so.
    """
    for image in images:
        path = Path(image)
        if image == "-":
            yield from filter(None, _listed())
        elif path.is_dir():
            found = walk_files(path)
            yield next(found, image)
            yield from found
        elif not path.exists() and glob.has_magic(image):
            matches = sorted(glob.glob(image, recursive=True))  # noqa: PTH207
            yield from iter_paths(matches) if matches else [image]
        else:
            yield image


def _listed() -> Iterator[str | None]:
    """Paths on standard input, one a line; None where there are no more for now."""
    if sys.stdin is None:
        raise CrnnError("standard input is closed: - reads a list of files from it")
    try:
        terminal = sys.stdin.fileno()
    except OSError:  # not a file, but what a test put in its place
        yield from filter(None, (line.rstrip("\r\n") for line in sys.stdin))
        return
    rest = b""
    while True:
        if not select.select([terminal], [], [], 0)[0]:
            yield None
        data = os.read(terminal, 1 << 16)
        *lines, rest = (rest + (data or b"\n")).split(b"\n")
        for line in lines:
            if path := line.rstrip(b"\r").decode("utf-8", "surrogateescape"):
                yield path
        if not data:
            return


_SHOWN = 20  # characters of an alphabet


def walk_files(folder: Path, suffixes: Container[str] = IMAGE_SUFFIXES) -> Iterator[str]:
    """The images below a folder, sorted within each; holds the names of one at a time.

    A folder within that cannot be listed is given as it is.

    Args:
        folder: where to begin; links to folders within it are not followed.
        suffixes: of the files that are given, in small letters.
    """
    names, folders = [], set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.name)
                elif Path(entry.name).suffix.lower() not in suffixes:
                    continue
                names.append(entry.name)
    except OSError:
        yield str(folder)
        return
    names.sort()
    for name in names:
        path = folder / name
        if name in folders:
            yield from walk_files(path, suffixes)
        elif not path.is_dir():  # a link that leads nowhere is named as unread
            yield str(path)


def _finite(value: float) -> float | None:
    """A number for JSON, which knows no infinity: that of a probability of 0 is null."""
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
        if line.alternatives:
            content["alternatives"] = [
                {"text": a.text, "log_prob": _finite(a.log_prob), "score": _finite(a.score)}
                for a in line.alternatives
            ]
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        # What of a path is not UTF-8 are lone surrogates: escaped as JSON writes them.
        return text.encode("utf-8", "backslashreplace").decode()
    text = f"{line.raw} => {line.text}" if raw else line.text
    return f"{_shown(path)}\t{text}"


if __name__ == "__main__":
    main()
