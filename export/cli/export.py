"""``crnn-export``: checkpoint → ONNX → TensorRT or Triton, each checked before it is written."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from crnn.cli.completion import complete_arch
from crnn_export.cli.source import (
    GraphOptions,
    Source,
    card_of,
    find_source,
    load,
    make_reader,
    refuse_itself,
)
from crnn_export.cli.triton import check_target, triton_options, write_repository
from crnn_runtime.cli.completion import MODEL, PATH
from crnn_runtime.cli.page_options import finding_options, take_finding_options
from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.card import HEADS, PRECISIONS

if TYPE_CHECKING:
    from crnn_export.precision.gain import Gain
    from crnn_runtime.model.card import ModelCard
    from crnn_runtime.model.engine_file import Profile

Target = Literal["onnx", "trt", "triton"]
Group = TypeVar("Group")

_path_option = partial(click.option, type=PATH)
_SUFFIXES: dict[str, tuple[str, ...]] = {"onnx": (".onnx",), "trt": (".trt", ".engine", ".plan")}


@dataclasses.dataclass(frozen=True)
class _PrecisionOptions:
    """The precision of the file that is written, and the accuracy that it may cost."""

    precision: str
    max_cer_loss: float
    quantise_ends: bool


@click.command(cls=Command)
@click.argument("model", required=False, type=MODEL)
@click.argument("repository", required=False, metavar="[REPO]", type=PATH)
@_path_option("--ckpt", help="Checkpoint; if it is an ONNX file, only its weights are taken.")
@click.option(
    "--arch", shell_complete=complete_arch,
    help="Architecture; needed where the checkpoint does not name it.",
)  # fmt: skip
@click.option("--alphabet", help="Name, characters or UTF-8 file; where the model has none.")
@_path_option("--card", help="Model card (JSON) of an ONNX file without one: docs/foreign.md.")
@click.option(
    "--to", type=click.Choice(["onnx", "trt", "triton"]), default="onnx", show_default=True
)
@_path_option("--out", help="File to write (default: the source's name with the new suffix).")
@click.option(
    "--head",
    type=click.Choice(HEADS),
    default="greedy",
    show_default=True,
    help="Classes that the graph gives for each time step: the best, the --topk best, or all.",
)
@click.option("--topk", default=8, show_default=True, help="Number of classes of the topk head.")
@click.option("--width", type=click.IntRange(min=1), help="Stretch every line to this width.")
@click.option("--keep-ratio", is_flag=True, help="Keep every line's aspect ratio.")
@_path_option(
    "--data",
    help="Real lines to compare on, and to calibrate int8: pictures (file, folder, glob). With "
    "labels, for the true error rate: an annotation file (.tsv, .txt) or LMDB folder.",
)
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True,
    help="Precision of the file.",
)  # fmt: skip
@click.option(
    "--max-cer-loss",
    type=click.FloatRange(-1, 1),
    default=0.005,
    show_default=True,
    help="Most that a reduced precision may add to the character error rate; below 0 it must "
    "lower it.",
)
@click.option("--quantise-ends", is_flag=True, help="int8 for the first and last layer too.")
@click.option(
    "--flavour",
    default="auto",
    show_default=True,
    help="TensorRT that builds the engine: auto, tensorrt or rtx.",
)
@click.option(
    "--batch",
    multiple=True,
    help="Lines in a call, as MIN:OPT:MAX; may be repeated.  [default: 1:8:64]",
)
@click.option(
    "--profile",
    multiple=True,
    help="Width in pixels, as MIN:OPT:MAX for every --batch, or as BATCHxWIDTH for a batch of "
    "its own; may be repeated.  [default: 32:320:2048, or the model's widths]",
)
@_path_option("--profile-from", help="Take the widths of --profile from these lines instead.")
@click.option("--target", default="", help="GPUs to build for, as sm_86,sm_89 (rtx only).")
@click.option("--opt-level", type=click.IntRange(0, 5), help="0 builds fast, 5 runs fast.")
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path),
    help="File that keeps timings between builds (flavour tensorrt only).",
)
@triton_options
@finding_options
@click.version_option(package_name="crnn")
@click.pass_context
def main(
    ctx: click.Context,
    /,
    model: str | None,
    repository: str | None,
    ckpt: str | None,
    to: Target,
    out: str | None,
    data: str | None,
    **options: Any,  # noqa: ANN401 (those of the groups above)
) -> None:
    """Export a checkpoint to ONNX, further to a TensorRT engine, or to Triton Inference Server.

    \b
    crnn-export x.pth                              writes x.onnx
    crnn-export x.pth --to trt                     writes x.onnx, x.trt and x.trt.json
    crnn-export x.onnx --to trt --precision fp16   writes x.fp16.onnx, x.fp16.trt and its .json
    crnn-export x.onnx --to triton REPO            adds a version to a model repository
    crnn-export x.onnx --to triton REPO --pages    the same, of a reader of whole pages
    crnn-export ppocrv6-tiny                       writes ppocrv6-tiny.onnx, card and head inside
    crnn-export ppocrv6-tiny-det --to trt          the same of a text detector, for pages

    An ONNX file is written only if it gives what PyTorch (or the foreign graph) gives, on five
    widths and three batch sizes and on the lines of --data; a reduced precision only if
    it costs less than --max-cer-loss; an engine only if it is what was asked.
    """  # fmt: skip
    check_target(ctx, to)
    source = find_source(model, ckpt, for_server=to == "triton")
    source.check_options(ctx)
    _refuse_contradictions(options)
    if source.kind == "detector":
        click.echo(_build_detector(source, to, out, data, options))
        return
    finding = take_finding_options(ctx, options)
    job = _Job(
        source,
        _group(GraphOptions, options),
        _group(_PrecisionOptions, options),
        data,
        None if to != "trt" else _Order(options),
        is_kept=to != "triton",
    )
    job.check(to)
    if to == "triton":
        assert repository is not None
        with TemporaryDirectory() as folder:
            target = Path(folder, f"{source.stem}.onnx")

            def make() -> str:
                network = job.run(target)
                return str(network if network == target else source.given)

            write_repository(ctx, repository, options, finding, make)
        return
    final = final_path(source, out, to, job.reduction.precision)
    refuse_itself(source, final)
    if job.order is None:
        job.run(final)
        return
    stem = final.stem.removesuffix(job.suffix)
    network = job.run(final.with_name(f"{stem}{job.suffix}.onnx"))
    click.echo(job.order.build(network, final))


@dataclasses.dataclass(frozen=True)
class _Job:
    """The ONNX file that is asked for, whatever it is made of and goes on to."""

    source: Source
    graph: GraphOptions
    reduction: _PrecisionOptions
    data: str | None
    order: "_Order | None"
    is_kept: bool  # what is made on the way, too

    def check(self, to: Target) -> None:
        """Refuse what can be refused before minutes are spent."""
        precision = self.reduction.precision
        if (self.source.kind, precision, to) == ("reader", "fp32", "onnx"):
            raise click.UsageError(
                "nothing to do: the ONNX file has its card inside; give --to trt, --to triton or "
                "--precision"
            )
        if precision == "fp32":
            return
        if self.source.kind == "engine":
            raise click.UsageError("an engine's precision cannot be changed: give its ONNX file")
        if (to, precision) == ("trt", "int8-cpu"):
            raise click.UsageError("int8-cpu is for ONNX Runtime on a CPU: engines take int8")
        from crnn_export.precision.gate import check_precision  # noqa: PLC0415

        check_precision(precision, has_lines=self.data is not None)

    @property
    def suffix(self) -> str:
        """``.fp16``, or nothing for float32."""
        precision = self.reduction.precision
        return "" if precision == "fp32" else f".{precision}"

    def run(self, target: Path) -> Path:
        """Write the ONNX file; returns its path, which is the source's own if that is it already.

        A float32 file that is reduced afterwards stays beside it.
        """
        accept: Callable[[ModelCard], object] = self.order.accept if self.order else lambda _: None
        if self.source.kind in ("reader", "engine"):
            if self.source.kind == "reader" and (self.order or self.data):
                card = card_of(self.source.path)
                accept(card)
                if not self.suffix and self.data:
                    load(self.data, card)  # a name that is wrong is not passed over
                    click.echo("--data is not used: nothing is compared or calibrated in fp32")
            network = self.source.path
        else:
            network = self._beside(target) if self.suffix else target
            if network.resolve() == self.source.path.resolve():
                network = network.with_name(f"{network.stem}.fp32.onnx")
            card = make_reader(self.source, network, self.graph, self.data, accept)
            self._wrote(network, f": {card.arch}, {card.head} head")
        if self.suffix:
            gain = _convert(network, target, self.reduction, self.data)
            self._wrote(target)
            click.echo(f"Gain: {gain}")
            network = target
        return network

    def _wrote(self, path: Path, what: str = "") -> None:
        if self.is_kept:
            click.echo(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB){what}")

    def _beside(self, target: Path) -> Path:
        plain = target.with_name(f"{target.stem.removesuffix(self.suffix)}.onnx")
        return plain if plain != target else target.with_name(f"{target.stem}.fp32.onnx")


class _Order:
    """The engine that is asked for: refused as early as possible, built last."""

    def __init__(self, options: dict[str, Any]) -> None:
        from crnn_export.cli.engine import EngineOptions  # noqa: PLC0415

        self._options = _group(EngineOptions, options)
        self._precision = options["precision"]
        self._profiles: list[Profile] = []

    def accept(self, card: "ModelCard") -> None:
        """Refuse a precision that no engine can have, and profiles that it cannot use."""
        reduced = self._precision != "fp32"
        self._options.check_precision(self._precision if reduced else card.precision)
        source = self._options.profile_from
        lines = load(source, card).pixels if source else []
        self._profiles = self._options.profiles_for(card, lines)

    def build(self, source: Path, target: Path) -> str:
        """Build it, and say in a few lines what was built."""
        from crnn_export.cli.engine import describe_engine  # noqa: PLC0415

        return describe_engine(self._options.build(source, target, self._profiles))


def _build_detector(
    source: Source, to: Target, out: str | None, data: str | None, options: dict[str, Any]
) -> str:
    """An engine of a text detector, and what it is in a few lines."""
    from crnn_export.cli.engine import EngineOptions, describe_engine  # noqa: PLC0415

    if to != "trt" or data is not None or options["precision"] != "fp32":
        raise click.UsageError(
            f"{source.given} is a text detector: --to trt makes an engine of it, in fp32 and "
            "without --data"
        )
    engine = _group(EngineOptions, options)
    final = final_path(source, out, to, "fp32")
    return describe_engine(engine.build_detector(source.path, final, options["side"]))


def _refuse_contradictions(options: dict[str, Any]) -> None:
    if options["width"] is not None and options["keep_ratio"]:
        raise click.UsageError("--width and --keep-ratio exclude each other")
    if options["profile_from"] and options["profile"]:
        raise click.UsageError("--profile and --profile-from exclude each other")
    if math.isnan(options["max_cer_loss"]):
        raise click.UsageError("--max-cer-loss is no number")


def final_path(source: Source, out: str | None, to: Target, precision: str) -> Path:
    """``x.pth``, ``x.pth.tar`` or ``x.onnx`` → ``x.onnx``, ``x.fp16.onnx``, ``x.fp16.trt``, …"""
    if out is not None:
        path = Path(out)
        if path.suffix.lower() not in _SUFFIXES[to]:
            raise CrnnError(
                f"--out {out}: a file for {to} ends in {' or '.join(_SUFFIXES[to])}, "
                "by which crnn-infer knows it"
            )
        if not path.parent.is_dir():
            raise CrnnError(f"cannot write {out}: no folder {path.parent}")
        return path
    middle = "" if precision == "fp32" else f".{precision}"
    return source.given.with_name(f"{source.stem}{middle}.{to}")


def _group(kind: type[Group], options: dict[str, Any]) -> Group:
    """The options that are the fields of a dataclass."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names})


def _convert(source: Path, target: Path, options: _PrecisionOptions, data: str | None) -> "Gain":
    from crnn_export.precision.gain import measure_gain  # noqa: PLC0415
    from crnn_export.precision.gate import convert_precision  # noqa: PLC0415

    lines = load(data, card_of(source))
    _, agreement = convert_precision(
        source,
        target,
        options.precision,
        lines=lines.pixels,
        truths=lines.texts,
        max_cer_loss=options.max_cer_loss,
        quantise_ends=options.quantise_ends,
    )
    click.echo(f"Precision: {agreement}")
    return measure_gain(source, target, options.precision, lines.pixels)


if __name__ == "__main__":
    main()
