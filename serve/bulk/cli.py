"""``crnn-bulk``: read many pictures with many processes, on one machine or a cluster."""

import time
from functools import partial
from typing import Any, Literal

import click

from crnn_runtime.cli.completion import MODEL, PATH
from crnn_runtime.cli.decoding_options import decoding_options, to_decoding
from crnn_runtime.cli.model_options import (
    alphabet_option,
    card_option,
    list_option,
    turn_option,
)
from crnn_runtime.cli.page_options import finding_options, take_finding_options
from crnn_runtime.console import EXIT_INTERRUPTED, EXIT_SOME_UNREAD, Command
from crnn_runtime.errors import CrnnError

_LINES, _PAGES = 1024, 32
"""Pictures of a part."""


@click.command(cls=Command)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--model",
    required=True,
    type=MODEL,
    metavar="NAME|FILE",
    help="A file that crnn-export wrote, or a reader's name (--list).",
)
@click.option(
    "--num-workers",
    type=click.IntRange(min=1),
    help="Processes that read.  [default: as many as there are CPUs, or GPUs, for]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="CPU threads of each worker.",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    help="cpu, or cuda with one GPU for each worker.  [default: cpu for ONNX, cuda for engines]",
)
@click.option(
    "--address",
    help="Ray cluster to join: HOST:PORT, or auto for the one this machine belongs to.  "
    "[default: one of this machine's own, for this run]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Lines inferred together at most.  [default: by their width, see crnn-infer]",
)
@click.option(
    "--lines-per-part",
    type=click.IntRange(min=1),
    help="Pictures that a worker reads and writes as one file; if it dies, they are read again.  "
    "[default: 1024, with --pages 32]",
)
@click.option(
    "--image-column",
    help="Column of pictures in Parquet files.  [default: image, bytes, jpg, png, …]",
)
@click.option(
    "--id-column", help="Column of names in Parquet files.  [default: path, file_name, key, id, …]"
)
@finding_options
@card_option
@alphabet_option
@turn_option
@partial(decoding_options, nbest=False)
@list_option
@click.version_option(package_name="crnn")
@click.pass_context
def main(
    ctx: click.Context,
    /,
    inputs: tuple[str, ...],
    out: str,
    model: str,
    num_workers: int | None,
    threads: int,
    device: str | None,
    address: str | None,
    batch_size: int | None,
    lines_per_part: int | None,
    image_column: str | None,
    id_column: str | None,
    card: str | None,
    alphabet: str | None,
    turn: Literal["auto"] | None,
    **others: Any,  # noqa: ANN401 (see `decoding_options` and `finding_options`)
) -> None:
    """Read the line of text in each picture of IN, and write Parquet files to OUT.

    IN are pictures, folders, globs, tar archives and Parquet files with pictures in a
    column; OUT is a folder. Both may be addresses that fsspec knows (s3://bucket/lines).
    OUT gets part-000000.parquet and so on, with the columns path, text, confidence,
    chars, turned and error. With --pages it gets part-000000.jsonl and so on: a line of JSON
    for each page, as crnn-infer --page --json prints it.

    Stopped and started again with the same command, it goes on where it was: a part
    that is written is not read again. The pictures in IN are listed once, at the beginning.

    Exit status: 0 all were read, 1 some could not be (their rows have an error),
    2 wrong usage, or a problem that must be mended before it can go on.
    """
    from crnn_serve.bulk import run  # noqa: PLC0415 (--help must not wait for numpy)
    from crnn_serve.bulk.cluster import Workers  # noqa: PLC0415
    from crnn_serve.bulk.model import pack  # noqa: PLC0415
    from crnn_serve.bulk.sources import Columns  # noqa: PLC0415
    from crnn_serve.pages import Pages  # noqa: PLC0415

    finding = take_finding_options(ctx, others)
    options = to_decoding(ctx, as_json=False, nbest=1, **others)
    if finding is None:
        reader = pack(model, options, card, alphabet, turn)
    else:
        pages = Pages(detection=finding.detection(), reading=finding.reading())
        reader = pack(model, options, card, alphabet, turn, pages=pages, detector=finding.detector)
    lines_per_part = lines_per_part or (_LINES if finding is None else _PAGES)
    if reader.on_gpu and device == "cpu":
        raise CrnnError("an engine runs on a GPU: leave --device out")
    gpus = int(device == "cuda" or reader.on_gpu)
    workers = Workers(address=address, number=num_workers, threads=threads, gpus=gpus)
    begun = run.begin(reader, inputs, out, Columns(image_column, id_column), lines_per_part)
    started = time.monotonic()
    _say_beginning(begun)
    try:
        run.read_missing(begun, reader, workers, batch_size)
    except KeyboardInterrupt:
        click.echo(f"Interrupted: {_so_far(begun)}", err=True)
        ctx.exit(EXIT_INTERRUPTED)
    except CrnnError as error:
        raise CrnnError(f"{error}; {_so_far(begun)}") from error
    count = run.result(begun)
    what = "lines" if finding is None else "pages"
    click.echo(
        f"{count.lines:,} {what} in {out}, {count.unread:,} could not be read; "
        f"{time.monotonic() - started:,.0f} s"
    )
    if count.unread:
        ctx.exit(EXIT_SOME_UNREAD)


def _say_beginning(begun: Any) -> None:  # noqa: ANN401 (imported in `main`)
    parts, written = begun.manifest.parts, len(begun.written)
    known = f", {written:,} of them written before" if written else ""
    click.echo(f"{parts:,} part{'s' * (parts != 1)}{known}", err=True)


def _so_far(begun: Any) -> str:  # noqa: ANN401
    from crnn_serve.bulk.parts import finished_parts  # noqa: PLC0415

    written = len(finished_parts(begun.store.names()))
    return (
        f"{written:,} of {begun.manifest.parts:,} parts are written, "
        "the same command reads the others"
    )


if __name__ == "__main__":
    main()
