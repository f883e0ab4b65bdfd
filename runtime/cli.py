"""``crnn-infer``: read lines of text from the command line."""

import glob
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crnn_runtime.cli_decoding import decoding_options, to_decoding
from crnn_runtime.console import EXIT_SOME_UNREAD, Command, DecoderMessages
from crnn_runtime.readers import reader_names, reader_path

if TYPE_CHECKING:
    from crnn_runtime.line import Line

IMAGE_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
)
"""Files that are read when a folder is given."""

_CHUNK = 256


@click.command(cls=Command)
@click.argument("model")
@click.argument("images", nargs=-1, required=True)
@click.option("--raw", is_flag=True, help="Print the best class of every time step => the text.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--device", help="cpu or cuda.  [default: cpu for ONNX, cuda for engines]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads (default: all allowed).")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Lines inferred together at most.",
)
@click.option(
    "--card",
    type=click.Path(),
    help="Model card (JSON) of an ONNX file that has none inside, see docs/foreign.md.",
)
@decoding_options
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _, wanted: list_readers(ctx) if wanted else None,
    help="List the readers that ship with the package and exit.",
)
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
    batch_size: int,
    card: str | None,
    **decoding: Any,  # noqa: ANN401 (see `decoding_options`)
) -> None:
    """Read the line of text in each of IMAGES with MODEL.

    MODEL is a file that crnn-export wrote, the name of a shipped reader (--list), a
    recognition model of PP-OCR in ONNX, or any line reader in ONNX with a --card.
    IMAGES are files, folders, globs, or - for a list of files on standard input.
    Prints "path<TAB>text" in the order given.

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
        decoder=to_decoding(**decoding),
    )
    paths = iter_paths(images)
    unread = 0
    with DecoderMessages() as messages:
        while chunk := list(islice(paths, _CHUNK)):
            lines = recognizer.read(_watched(chunk, messages), errors="return")
            for path, line in zip(chunk, lines, strict=True):
                if line.error:
                    unread += 1
                    reason = "no image in this folder" if Path(path).is_dir() else line.error
                    click.echo(f"{path}: {reason}", err=True)
                else:
                    click.echo(format_line(path, line, raw=raw, as_json=as_json))
    if unread:
        ctx.exit(EXIT_SOME_UNREAD)


def list_readers(ctx: click.Context) -> None:
    """Print the shipped readers: name, characters, size, and how well each reads what."""
    from crnn_runtime.backends import open_backend  # noqa: PLC0415 (numpy: not for --help)

    for name in reader_names():
        path = reader_path(name)
        card = open_backend(path).card
        click.echo(
            f"{name}\t{card.arch}, {len(card.alphabet)} characters, "
            f"{path.stat().st_size / 1e6:.1f} MB"
        )
        for data, scores in card.evaluation.items():
            click.echo(
                f"\t{scores['exact']:6.1%} of {scores['lines']} lines exactly right"
                f" ({scores['exact_normalized']:.1%} normalised): {data}"
            )
    ctx.exit()


def _watched(paths: Sequence[str], messages: "DecoderMessages") -> Iterator[str]:
    """Hand out paths; what a decoder wrote meanwhile is about the one handed out last."""
    for path in paths:
        yield path
        if message := messages.take():
            click.echo(f"{path}: warning, the picture may be damaged: {message}", err=True)


def iter_paths(images: Iterable[str]) -> Iterator[str]:
    """Expand folders, globs and ``-`` (paths on standard input, one a line).

    What holds no image is given as it is, so that reading it says so.
    """
    for image in images:
        path = Path(image)
        if image == "-":
            yield from filter(None, (line.rstrip("\r\n") for line in sys.stdin))
        elif path.is_dir():
            found = (file for file in sorted(path.rglob("*")) if _is_image(file))
            first = next(found, None)
            yield image if first is None else str(first)
            yield from map(str, found)
        elif not path.exists() and glob.has_magic(image):
            matches = sorted(glob.glob(image, recursive=True))  # noqa: PTH207
            yield from iter_paths(matches) if matches else [image]
        else:
            yield image


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


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
                {"text": a.text, "log_prob": round(a.log_prob, 4), "score": round(a.score, 4)}
                for a in line.alternatives
            ]
        return json.dumps(content, ensure_ascii=False)
    return f"{path}\t{line.raw} => {line.text}" if raw else f"{path}\t{line.text}"
