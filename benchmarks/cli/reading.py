"""``crnn-bench accuracy`` and ``peers``: how well readers read, ours and other people's."""

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crnn_benchmarks.cli.output import (
    empty_report,
    finish,
    out_option,
    tell,
    writable,
    write_text,
)
from crnn_runtime.console import Command
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError

if TYPE_CHECKING:
    from crnn_benchmarks.cases.accuracy import Read
    from crnn_benchmarks.harness.datasets import Lines


@click.command(cls=Command)
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("--model", "more", multiple=True, help="Another reader; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), help="Lines of a set, sampled at random.")
@click.option("--batch", type=click.IntRange(min=2), default=16, show_default=True,
              help="Lines in a batch, compared with lines read one by one.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), default=available_cpus(), show_default=True)
@click.option("--device", help="cpu or cuda.  [default: cpu for ONNX, cuda for engines]")
@click.option("--worst", type=click.IntRange(min=0), default=20, show_default=True,
              help="Worst lines of each set, on a page that shows the data.")  # fmt: skip
@out_option("accuracy.json")
def accuracy(
    model: str, data: tuple[str, ...], more: tuple[str, ...], limit: int | None, batch: int,
    threads: int, device: str | None, worst: int, out: str,
) -> None:  # fmt: skip
    """Read DATA with MODEL and report the accuracy.

    DATA are folders with labels.tsv, .tsv or .txt files (path, tab, text), or fresh synthetic
    lines: synth:PRESET[:SPLIT[:COUNT[:SEED]]] with the splits all, train, heldout, or
    recipe:NAME[...] as a recipe of crnn-train draws them.
    """
    from crnn_benchmarks.cases.accuracy import measure_accuracy  # noqa: PLC0415
    from crnn_benchmarks.harness.models import subjects_of  # noqa: PLC0415

    subjects = subjects_of((model, *more))
    target = writable(out)
    with ExitStack() as stack:
        sets = _sets(stack, data, limit)
        report = empty_report()
        results = measure_accuracy(
            subjects, sets, tell, batch=batch, threads=threads, device=device
        )
        _write_worst(results, worst, target)
    finish(dataclasses.replace(report, accuracy=tuple(read.row for read in results)), target)


@click.command(cls=Command)
@click.argument("data", nargs=-1)
@click.option("--reader", "readers", multiple=True, help="One of ours, by file or name.")
@click.option("--peer", "names", multiple=True,
              help="May be repeated.  [default: all, none with --update]")  # fmt: skip
@click.option("--update", type=click.Path(dir_okay=False),
              help="A report of this command, in which the readers are replaced. The first is the "
              "one that it began with: their times are compared by it.")  # fmt: skip
@click.option("--python", "pythons", multiple=True, metavar="PEER=PATH",
              help="The Python that has a peer.")  # fmt: skip
@click.option("--environments", type=click.Path(file_okay=False), help="Folder of --prepare.")
@click.option("--prepare", is_flag=True, help="Make an environment for each peer and end.")
@click.option("--limit", type=click.IntRange(min=1), help="Lines of a set, sampled at random.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--worst", type=click.IntRange(min=0), default=0, show_default=True)
@out_option("peers.json")
def peers(
    data: tuple[str, ...], readers: tuple[str, ...], names: tuple[str, ...],
    pythons: tuple[str, ...], environments: str | None, prepare: bool, limit: int | None,
    threads: int, worst: int, update: str | None, out: str,
) -> None:  # fmt: skip
    """The same lines through our readers and other people's, by turns, recognition only.

    Times are compared with the first reader's.
    """
    from crnn_benchmarks import peers as peer_table  # noqa: PLC0415
    from crnn_benchmarks.cases.peers import (  # noqa: PLC0415
        measure_peers,
        own_contender,
        peer_contender,
    )
    from crnn_benchmarks.harness.models import subjects_of  # noqa: PLC0415
    from crnn_benchmarks.harness.schema import Report  # noqa: PLC0415
    from crnn_benchmarks.report.update import check_update, updated  # noqa: PLC0415
    from crnn_runtime.installed import cache_folder  # noqa: PLC0415

    folder = Path(environments) if environments else cache_folder() / "peers"
    chosen = names or (() if update else tuple(peer_table.PEERS))
    python = dict(text.partition("=")[::2] for text in pythons)
    for name in (*chosen, *python):
        if name not in peer_table.PEERS:
            raise CrnnError(f"no peer {name!r}: choose from {', '.join(peer_table.PEERS)}")
    if prepare:
        for name in chosen:
            click.echo(peer_table.prepare(name, folder))
        return
    if not data:
        raise click.UsageError("Missing argument 'DATA...': folders or files with labels")
    if not readers and not chosen:
        raise click.UsageError("--update FILE needs --reader: the one it began with, and yours")
    subjects = subjects_of(readers)
    target = writable(update or out)
    with ExitStack() as stack:
        sets = _sets(stack, data, limit)
        report = empty_report()
        old = Report.read(target) if update else None
        contenders = [own_contender(subject, threads) for subject in subjects]
        contenders += [peer_contender(name, python.get(name), folder, threads) for name in chosen]
        if old is not None:
            check_update(old, report.machine, contenders[0].model, [each.data for each in sets])
        for contender in contenders:
            if contender.problem is not None:
                tell(f"{contender.model.name}: {contender.problem}")
        results = measure_peers(contenders, sets, threads, tell)
        _write_worst(results, worst, target)
    report = dataclasses.replace(report, accuracy=tuple(read.row for read in results))
    finish(report if old is None else updated(old, report), target)


def _sets(stack: ExitStack, data: Sequence[str], limit: int | None) -> "list[Lines]":
    from crnn_benchmarks.harness.datasets import distinct, load_lines  # noqa: PLC0415

    sets = [stack.enter_context(load_lines(spec, limit=limit)) for spec in data]
    names = distinct([lines.data.name for lines in sets], [lines.place for lines in sets])
    return [
        dataclasses.replace(lines, data=dataclasses.replace(lines.data, name=name))
        for lines, name in zip(sets, names, strict=True)
    ]


def _write_worst(results: "Sequence[Read]", count: int, target: Path) -> None:
    """A page of its own, because it shows pictures of the data."""
    from crnn_benchmarks.report.worst import worst_page  # noqa: PLC0415

    if count:
        page = target.with_name(f"{target.stem}-worst.html")
        write_text(page, worst_page(results, count))
        click.echo(f"Wrote {page}", err=True)
