"""``crnn-bench``: measurements that anyone can repeat, and the pages they make."""

import dataclasses
import datetime
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crnn_benchmarks.harness.schema import Report
from crnn_runtime.cli.console import Command
from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError

if TYPE_CHECKING:
    from crnn_benchmarks.cases.accuracy import Read
    from crnn_benchmarks.harness.datasets import Lines
    from crnn_benchmarks.harness.models import Subject

EXIT_NOTHING = 1
"""Nothing could be measured; the report says why."""

_STARTED = time.monotonic()
_QUICK_BACKENDS = ("onnxruntime", "torch", "torch-cuda", "onnxruntime-cuda", "tensorrt")
_ALL_BACKENDS = (*_QUICK_BACKENDS, "torch-compile", "torch-compile-cuda")
_PRECISIONS = ("fp32", "fp16", "bf16", "int8")


def _numbers(_: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...]:
    """``1,4,16`` → whole numbers from 1, each once; nothing stays nothing."""
    parts = text.split(",") if text else []
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{text!r}: whole numbers from 1, such as 1,4,16", param=option)
    return tuple(dict.fromkeys(int(part) for part in parts))


@click.group()
@click.version_option(package_name="crnn")
def main() -> None:
    """Measure readers of text lines: latency, throughput, accuracy, peers, training.

    Every command writes what it measured as JSON, and beside it a Markdown and an HTML
    page. Models: files or names of shipped readers; architectures have random weights
    and are for latency only.
    """


def _out(default: str) -> Callable[[Any], Any]:
    return click.option(
        "--out", default=default, show_default=True, type=click.Path(dir_okay=False),
        help="Report to write, with .md and .html beside it.",
    )  # fmt: skip


def _models(function: Any) -> Any:  # noqa: ANN401
    """What to measure: files, architectures or all of them."""
    for option in (
        click.option("--alphabet", default="zh", show_default=True,
                     help="Of random weights: its size decides the classifier's."),
        click.option("--all", "everything", is_flag=True, help="All architectures."),
        click.option("--arch", "archs", multiple=True, help="An architecture; may be repeated."),
        click.argument("models", nargs=-1),
    ):  # fmt: skip
        function = option(function)
    return function


@main.command(cls=Command)
@_models
@click.option("--backend", "backends", multiple=True, type=click.Choice(_ALL_BACKENDS),
              help="May be repeated, the first is the base.  [default: all]")  # fmt: skip
@click.option("--precision", "precisions", multiple=True, type=click.Choice(_PRECISIONS),
              help="May be repeated, as --backend.  [default: fp32, fp16, int8]")  # fmt: skip
@click.option(
    "--batch", "batches", callback=_numbers, help="Such as 1,8,32; the first is the base."
)
@click.option("--width", "widths", callback=_numbers, help="Pixels, such as 280,560.")
@click.option("--threads", callback=_numbers, help="Such as 1,2.")
@click.option("--grid", is_flag=True, help="All combinations, not each axis from the base.")
@click.option("--quick", is_flag=True, help="Minutes: fewer points, compiled PyTorch left out.")
@click.option("--rounds", type=click.IntRange(min=1), help="Turns of every configuration.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="For all turns, roughly.")
@_out("latency.json")
def latency(
    models: tuple[str, ...], archs: tuple[str, ...], everything: bool, alphabet: str,
    backends: tuple[str, ...], precisions: tuple[str, ...], batches: tuple[int, ...],
    widths: tuple[int, ...], threads: tuple[int, ...], grid: bool, quick: bool,
    rounds: int | None, seconds: float | None, out: str,
) -> None:  # fmt: skip
    """Time MODELS and architectures, stage by stage, by turns."""
    from crnn_benchmarks.cases.latency import measure_latency, points  # noqa: PLC0415
    from crnn_benchmarks.harness.timing import Plan  # noqa: PLC0415

    subjects = _subjects(models, archs, everything, alphabet)
    target = _target(out)
    cpus = available_cpus()
    chosen = points(
        backends or (_QUICK_BACKENDS if quick else _ALL_BACKENDS),
        precisions or (("fp32", "int8") if quick else ("fp32", "fp16", "int8")),
        batches or ((1, 2, 4) if quick else (1, 8, 32)),
        widths or ((280, 140, 560) if quick else (280, 140, 560, 1120)),
        threads or (tuple(dict.fromkeys((1, cpus))) if not quick else (1,)),
        grid=grid,
    )
    plan = Plan(rounds or (20 if quick else 40), seconds or (150 if quick else 1200))
    report = _begin()
    rows, peaks, yardstick = measure_latency(subjects, chosen, plan, _log, all_memory=not quick)
    report = dataclasses.replace(
        report, latency=tuple(rows), peaks=tuple(peaks), yardstick=yardstick
    )
    _finish(report, target)


@main.command(cls=Command)
@_models
@click.option("--data", required=True, help="Folder of pictures, or synth:PRESET[:SPLIT[:COUNT]].")
@click.option("--backend", "backends", multiple=True, default=("onnxruntime",), show_default=True,
              type=click.Choice(("onnxruntime", "onnxruntime-cuda", "tensorrt")))  # fmt: skip
@click.option("--precision", "precisions", multiple=True, type=click.Choice(_PRECISIONS),
              default=("fp32",), show_default=True)  # fmt: skip
@click.option("--batch", "batches", callback=_numbers, default="1,16", show_default=True)
@click.option("--threads", callback=_numbers, default=str(available_cpus()), show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=120, show_default=True)
@_out("throughput.json")
def throughput(
    models: tuple[str, ...], archs: tuple[str, ...], everything: bool, alphabet: str, data: str,
    backends: tuple[str, ...], precisions: tuple[str, ...], batches: tuple[int, ...],
    threads: tuple[int, ...], rounds: int, seconds: float, out: str,
) -> None:  # fmt: skip
    """Pictures a second from a folder of files to text."""
    from crnn_benchmarks.cases.latency import points  # noqa: PLC0415
    from crnn_benchmarks.cases.throughput import measure_throughput  # noqa: PLC0415
    from crnn_benchmarks.harness.datasets import SYNTH, load_lines, pictures_of  # noqa: PLC0415
    from crnn_benchmarks.harness.timing import Plan  # noqa: PLC0415

    subjects = _subjects(models, archs, everything, alphabet)
    target = _target(out)
    chosen = points(backends, precisions, batches, (280,), threads)
    with ExitStack() as stack:
        if data.startswith(SYNTH):
            lines = stack.enter_context(load_lines(data, suffix=".jpg"))
            name, paths = lines.data.name, lines.paths
        else:
            name, paths = pictures_of(data)
        report = _begin()
        plan = Plan(rounds, seconds)
        rows, yardstick = measure_throughput(subjects, chosen, name, paths, plan, _log)
    _finish(dataclasses.replace(report, throughput=tuple(rows), yardstick=yardstick), target)


@main.command(cls=Command)
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("--model", "more", multiple=True, help="Another reader; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), help="Lines of a set, sampled at random.")
@click.option("--batch", type=click.IntRange(min=2), default=16, show_default=True,
              help="Lines at a time, compared with one by one.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), default=available_cpus(), show_default=True)
@click.option("--device", help="cpu or cuda.  [default: cpu for ONNX, cuda for engines]")
@click.option("--worst", type=click.IntRange(min=0), default=20, show_default=True,
              help="Lines of a set on a page of the worst, which shows the data.")  # fmt: skip
@_out("accuracy.json")
def accuracy(
    model: str, data: tuple[str, ...], more: tuple[str, ...], limit: int | None, batch: int,
    threads: int, device: str | None, worst: int, out: str,
) -> None:  # fmt: skip
    """Read DATA with MODEL and say how well.

    DATA are folders with labels.tsv, .tsv files (path, tab, text), or fresh synthetic
    lines: synth:PRESET[:SPLIT[:COUNT[:SEED]]] with the splits all, train, heldout, or
    recipe:NAME[...] as a recipe of crnn-train draws them.
    """
    from crnn_benchmarks.cases.accuracy import measure_accuracy  # noqa: PLC0415
    from crnn_benchmarks.harness.models import subject_of  # noqa: PLC0415

    subjects = [subject_of(name) for name in (model, *more)]
    target = _target(out)
    with ExitStack() as stack:
        sets = _sets(stack, data, limit)
        report = _begin()
        results = measure_accuracy(
            subjects, sets, _log, batch=batch, threads=threads, device=device
        )
        _write_worst(results, worst, target)
    _finish(dataclasses.replace(report, accuracy=tuple(read.row for read in results)), target)


@main.command(cls=Command)
@click.argument("data", nargs=-1)
@click.option("--reader", "readers", multiple=True, help="One of ours, by file or name.")
@click.option("--peer", "names", multiple=True, help="May be repeated.  [default: all]")
@click.option("--python", "pythons", multiple=True, metavar="PEER=PATH",
              help="The Python that has a peer.")  # fmt: skip
@click.option("--environments", type=click.Path(file_okay=False), help="Where --prepare put them.")
@click.option("--prepare", is_flag=True, help="Make an environment for each peer and end.")
@click.option("--limit", type=click.IntRange(min=1), help="Lines of a set, sampled at random.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--worst", type=click.IntRange(min=0), default=0, show_default=True)
@_out("peers.json")
def peers(
    data: tuple[str, ...], readers: tuple[str, ...], names: tuple[str, ...],
    pythons: tuple[str, ...], environments: str | None, prepare: bool, limit: int | None,
    threads: int, worst: int, out: str,
) -> None:  # fmt: skip
    """The same lines through other people's readers and ours, recognition only."""
    from crnn_benchmarks import peers as peer_table  # noqa: PLC0415
    from crnn_benchmarks.cases.peers import (  # noqa: PLC0415
        measure_peers,
        own_contender,
        peer_contender,
    )
    from crnn_benchmarks.harness.models import subject_of  # noqa: PLC0415
    from crnn_runtime.installed import cache_folder  # noqa: PLC0415

    folder = Path(environments) if environments else cache_folder() / "peers"
    chosen = names or tuple(peer_table.PEERS)
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
    subjects = [subject_of(reader) for reader in readers]
    target = _target(out)
    with ExitStack() as stack:
        sets = _sets(stack, data, limit)
        report = _begin()
        contenders = [peer_contender(name, python.get(name), folder, threads) for name in chosen]
        contenders += [own_contender(subject, threads) for subject in subjects]
        for contender in contenders:
            if contender.problem is not None:
                _log(f"{contender.model.name}: {contender.problem}")
        results = measure_peers(contenders, sets, threads, _log)
        _write_worst(results, worst, target)
    _finish(dataclasses.replace(report, accuracy=tuple(read.row for read in results)), target)


@main.command(cls=Command)
@click.option("--arch", "archs", multiple=True, help="May be repeated.  [default: all]")
@click.option("--alphabet", default="zh", show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--width", type=click.IntRange(min=32), default=280, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=available_cpus(), show_default=True)
@click.option("--precision", type=click.Choice(("fp32", "bf16")), default="fp32", show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=120, show_default=True)
@_out("train.json")
def train(
    archs: tuple[str, ...], alphabet: str, batch: int, width: int, threads: int, precision: str,
    rounds: int, seconds: float, out: str,
) -> None:  # fmt: skip
    """Lines a second of a training step, for each architecture."""
    from crnn_benchmarks.cases.train import measure_training  # noqa: PLC0415
    from crnn_benchmarks.harness.timing import Plan  # noqa: PLC0415

    subjects = _subjects((), archs, not archs, alphabet)
    target = _target(out)
    report = _begin()
    rows, yardstick = measure_training(
        subjects, Plan(rounds, seconds), _log,
        batch=batch, width=width, threads=threads, precision=precision,
    )  # fmt: skip
    _finish(dataclasses.replace(report, training=tuple(rows), yardstick=yardstick), target)


@main.command(cls=Command)
@click.argument("first", type=click.Path())
@click.argument("others", nargs=-1, type=click.Path())
@click.option("--join", is_flag=True, help="One page of several reports of one machine.")
@click.option("--out", type=click.Path(dir_okay=False), help="HTML page, with .md beside it.")
def report(first: str, others: tuple[str, ...], join: bool, out: str | None) -> None:
    """Pages from one report; from two, what moved beyond noise."""
    from crnn_benchmarks.report.compare import (  # noqa: PLC0415
        comparison_html,
        comparison_markdown,
        joined,
    )

    reports = [Report.read(Path(path)) for path in (first, *others)]
    if join or not others:
        found = joined(reports) if others else reports[0]
        target = _target(out or str(Path(first).with_suffix(".html")), ".html")
        _write_pages(found, target)
        click.echo(f"Wrote {target} and {target.with_suffix('.md')}")
        return
    if len(others) > 1:
        raise click.UsageError("compare two reports, or --join several")
    names = (Path(first).name, Path(others[0]).name)
    if names[0] == names[1]:
        names = (first, others[0])
    text = comparison_markdown(reports[0], reports[1], names)
    if out is None:
        click.echo(text, nl=False)
        return
    target = _target(out, ".html")
    _write_text(target, comparison_html(reports[0], reports[1], names))
    _write_text(target.with_suffix(".md"), text)
    click.echo(f"Wrote {target} and {target.with_suffix('.md')}")


def _subjects(
    models: Sequence[str], archs: Sequence[str], everything: bool, alphabet: str
) -> "list[Subject]":
    from crnn.backbones import BACKBONES, backbone_class  # noqa: PLC0415
    from crnn_benchmarks.harness.models import Subject, subject_of  # noqa: PLC0415
    from crnn_runtime.model.alphabet import Alphabet  # noqa: PLC0415

    Alphabet.load(alphabet)  # says at once what is wrong with it
    chosen = tuple(BACKBONES) if everything else archs
    for arch in chosen:
        backbone_class(arch)
    subjects = [Subject(name=arch, arch=arch, alphabet=alphabet) for arch in chosen]
    subjects += [subject_of(model) for model in models]
    if not subjects:
        raise click.UsageError("give MODELS, --arch or --all")
    return subjects


def _sets(stack: ExitStack, data: Sequence[str], limit: int | None) -> "list[Lines]":
    from crnn_benchmarks.harness.datasets import load_lines  # noqa: PLC0415

    return [stack.enter_context(load_lines(spec, limit=limit)) for spec in data]


def _target(out: str, suffix: str = ".json") -> Path:
    """Refuse a file that cannot be written before minutes are spent."""
    path = Path(out)
    if path.suffix != suffix:
        raise CrnnError(f"--out {out}: its name ends in {suffix}")
    if not path.parent.is_dir():
        raise CrnnError(f"cannot write {out}: no folder {path.parent}")
    return path


def _begin() -> Report:
    """A report without figures: where and when."""
    from crnn_benchmarks.harness import machine  # noqa: PLC0415

    return Report(
        command=shlex.join(["crnn-bench", *sys.argv[1:]]),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=machine.commit(),
        machine=machine.this_machine(),
        versions=machine.versions(),
    )


def _finish(found: Report, target: Path) -> None:
    """Write the three files and say what they hold."""
    from crnn_benchmarks.harness.machine import load  # noqa: PLC0415
    from crnn_benchmarks.report.markdown import to_markdown  # noqa: PLC0415

    found = dataclasses.replace(
        found, machine=dataclasses.replace(found.machine, load_after=load())
    )
    found.write(target)
    _write_pages(found, target.with_suffix(".html"))
    click.echo(to_markdown(found))
    click.echo(f"Wrote {target}, {target.with_suffix('.md')} and {target.with_suffix('.html')}")
    problems = [row.problem for row in found.latency]
    problems += [row.problem for row in found.throughput]
    problems += [row.problem for row in found.accuracy]
    problems += [row.problem for row in found.training]
    if None not in problems:
        sys.exit(EXIT_NOTHING)


def _write_pages(found: Report, target: Path) -> None:
    from crnn_benchmarks.report.html import to_html  # noqa: PLC0415
    from crnn_benchmarks.report.markdown import to_markdown  # noqa: PLC0415

    _write_text(target, to_html(found))
    _write_text(target.with_suffix(".md"), to_markdown(found))


def _write_text(path: Path, text: str) -> None:
    from crnn_runtime.files import write_atomically  # noqa: PLC0415

    write_atomically(path, lambda part: part.write_text(text, "utf-8"))


def _write_worst(results: "Sequence[Read]", count: int, target: Path) -> None:
    """A page of its own, because it shows pictures of the data."""
    from crnn_benchmarks.report.worst import worst_page  # noqa: PLC0415

    if count:
        page = target.with_name(f"{target.stem}-worst.html")
        _write_text(page, worst_page(results, count))
        click.echo(f"Wrote {page}", err=True)


def _log(text: str) -> None:
    click.echo(f"{time.monotonic() - _STARTED:5.0f} s  {text}", err=True)


if __name__ == "__main__":
    main()
