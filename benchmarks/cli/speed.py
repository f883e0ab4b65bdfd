"""``crnn-bench latency``, ``throughput`` and ``train``: how fast readers and networks are."""

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from crnn_benchmarks.cli.output import empty_report, finish, out_option, tell, writable
from crnn_runtime.console import Command
from crnn_runtime.cpu import available_cpus

if TYPE_CHECKING:
    from crnn_benchmarks.harness.models import Subject

_QUICK_BACKENDS = ("onnxruntime", "torch", "torch-cuda", "onnxruntime-cuda", "tensorrt")
_ALL_BACKENDS = (*_QUICK_BACKENDS, "torch-compile", "torch-compile-cuda")
_PRECISIONS = ("fp32", "fp16", "bf16", "int8")


def _numbers(_: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...]:
    """``1,4,16`` → whole numbers from 1, each once; nothing stays nothing."""
    parts = text.split(",") if text else []
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{text!r}: whole numbers from 1, such as 1,4,16", param=option)
    return tuple(dict.fromkeys(int(part) for part in parts))


def _models(function: Any) -> Any:  # noqa: ANN401
    """Adds the options for the models to measure: files, architectures or all of them."""
    for option in (
        click.option("--alphabet", default="zh", show_default=True,
                     help="Alphabet of random weights: its size is the classifier's."),
        click.option("--all", "everything", is_flag=True, help="All architectures."),
        click.option("--arch", "archs", multiple=True, help="An architecture; may be repeated."),
        click.argument("models", nargs=-1),
    ):  # fmt: skip
        function = option(function)
    return function


@click.command(cls=Command)
@_models
@click.option("--backend", "backends", multiple=True, type=click.Choice(_ALL_BACKENDS),
              help="May be repeated, the first is the base.  [default: all]")  # fmt: skip
@click.option("--precision", "precisions", multiple=True, type=click.Choice(_PRECISIONS),
              help="May be repeated, as --backend.  [default: fp32, fp16, int8]")  # fmt: skip
@click.option(
    "--batch", "batches", callback=_numbers, help="Lines, such as 1,8,32; the first is the base."
)
@click.option("--width", "widths", callback=_numbers, help="Pixels, such as 280,560.")
@click.option("--threads", callback=_numbers, help="CPU threads, such as 1,2.")
@click.option("--grid", is_flag=True, help="Measure all combinations, not each axis from the base.")
@click.option("--quick", is_flag=True, help="Take minutes: fewer points, no compiled PyTorch.")
@click.option("--rounds", type=click.IntRange(min=1), help="Turns of every configuration.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Rough time for all turns.")
@out_option("latency.json")
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
    target = writable(out)
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
    report = empty_report()
    rows, peaks, yardstick = measure_latency(subjects, chosen, plan, tell, all_memory=not quick)
    report = dataclasses.replace(
        report, latency=tuple(rows), peaks=tuple(peaks), yardstick=yardstick
    )
    finish(report, target)


@click.command(cls=Command)
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
@out_option("throughput.json")
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
    target = writable(out)
    chosen = points(backends, precisions, batches, (280,), threads)
    with ExitStack() as stack:
        if data.startswith(SYNTH):
            lines = stack.enter_context(load_lines(data, suffix=".jpg"))
            name, paths = lines.data.name, lines.paths
        else:
            name, paths = pictures_of(data)
        report = empty_report()
        plan = Plan(rounds, seconds)
        rows, yardstick = measure_throughput(subjects, chosen, name, paths, plan, tell)
    finish(dataclasses.replace(report, throughput=tuple(rows), yardstick=yardstick), target)


@click.command(cls=Command)
@click.option("--arch", "archs", multiple=True, help="May be repeated.  [default: all]")
@click.option("--alphabet", default="zh", show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--width", type=click.IntRange(min=32), default=280, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=available_cpus(), show_default=True)
@click.option("--precision", type=click.Choice(("fp32", "bf16")), default="fp32", show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=120, show_default=True)
@out_option("train.json")
def train(
    archs: tuple[str, ...], alphabet: str, batch: int, width: int, threads: int, precision: str,
    rounds: int, seconds: float, out: str,
) -> None:  # fmt: skip
    """Lines a second of a training step, for each architecture."""
    from crnn_benchmarks.cases.training.step import measure_training  # noqa: PLC0415
    from crnn_benchmarks.harness.timing import Plan  # noqa: PLC0415

    subjects = _subjects((), archs, not archs, alphabet)
    target = writable(out)
    report = empty_report()
    rows, yardstick = measure_training(
        subjects, Plan(rounds, seconds), tell,
        batch=batch, width=width, threads=threads, precision=precision,
    )  # fmt: skip
    finish(dataclasses.replace(report, training=tuple(rows), yardstick=yardstick), target)


def _subjects(
    models: Sequence[str], archs: Sequence[str], everything: bool, alphabet: str
) -> "list[Subject]":
    from crnn.backbones import BACKBONES, backbone_class  # noqa: PLC0415
    from crnn_benchmarks.harness.models import Subject, subjects_of  # noqa: PLC0415
    from crnn_runtime.model.alphabet import Alphabet  # noqa: PLC0415

    Alphabet.load(alphabet)  # says at once what is wrong with it
    chosen = tuple(BACKBONES) if everything else archs
    for arch in chosen:
        backbone_class(arch)
    subjects = [Subject(name=arch, arch=arch, alphabet=alphabet) for arch in chosen]
    subjects += subjects_of(models)
    if not subjects:
        raise click.UsageError("give MODELS, --arch or --all")
    return subjects
