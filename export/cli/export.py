"""``crnn-export``: checkpoint → ONNX → TensorRT or Triton, each checked before it is written."""

import dataclasses
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from crnn_export.cli.triton import check_target, triton_options, write_repository
from crnn_runtime.cli.console import Command
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.card import HEADS, PRECISIONS, Head
from crnn_runtime.readers import find_model

if TYPE_CHECKING:
    from crnn_export.lines import Lines
    from crnn_runtime.model.card import ModelCard
    from crnn_runtime.model.engine_file import Profile

Target = Literal["onnx", "trt", "triton"]
Group = TypeVar("Group")

_SUFFIXES: dict[str, tuple[str, ...]] = {"onnx": (".onnx",), "trt": (".trt", ".engine", ".plan")}


@dataclasses.dataclass(frozen=True)
class _GraphOptions:
    """What the float32 ONNX file is made of."""

    arch: str | None
    alphabet: str | None
    head: Head
    topk: int
    width: int | None
    keep_ratio: bool


@dataclasses.dataclass(frozen=True)
class _PrecisionOptions:
    """What it is reduced to, and what that may cost."""

    precision: str
    max_cer_loss: float
    quantise_ends: bool


@click.command(cls=Command)
@click.argument("model", required=False)
@click.argument("repository", required=False, metavar="[REPO]")
@click.option("--ckpt", help="Checkpoint: ours, the original's, or meijieru's.")
@click.option("--arch", help="Architecture; needed where the checkpoint does not name it.")
@click.option("--alphabet", help="Name, characters or UTF-8 file; where the checkpoint has none.")
@click.option(
    "--to", type=click.Choice(["onnx", "trt", "triton"]), default="onnx", show_default=True
)
@click.option("--out", help="File to write (default: the source's name with the new suffix).")
@click.option("--head", type=click.Choice(HEADS), default="greedy", show_default=True)
@click.option("--topk", default=8, show_default=True, help="Classes a step of the topk head.")
@click.option("--width", type=click.IntRange(min=1), help="Stretch every line to this width.")
@click.option("--keep-ratio", is_flag=True, help="Keep every line's aspect ratio.")
@click.option(
    "--data",
    help="Real lines, compared and for int8 calibrated on: pictures (file, folder, glob), or "
    "with labels an annotation file (.tsv, .txt) or LMDB folder, for the true error rate.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option(
    "--max-cer-loss",
    type=click.FloatRange(-1, 1),
    default=0.005,
    show_default=True,
    help="Character error rate that a precision may cost; below 0 it must gain.",
)
@click.option("--quantise-ends", is_flag=True, help="int8 for the first and last layer too.")
@click.option("--flavour", default="auto", show_default=True, help="auto, tensorrt or rtx.")
@click.option(
    "--batch", multiple=True, help="MIN:OPT:MAX lines; several allowed.  [default: 1:8:64]"
)
@click.option(
    "--profile",
    multiple=True,
    help="MIN:OPT:MAX pixels of width, served with every --batch, or BATCHxWIDTH with its own; "
    "several make several profiles.  [default: 32:320:2048, or what the model reads]",
)
@click.option("--profile-from", help="Take the widths from these lines instead.")
@click.option("--target", default="", help="GPUs to build for, as sm_86,sm_89 (rtx only).")
@click.option("--opt-level", type=click.IntRange(0, 5), help="0 builds fast, 5 runs fast.")
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path),
    help="Kept between builds (flavour tensorrt only).",
)
@triton_options
@click.version_option(package_name="crnn")
@click.pass_context
def main(
    ctx: click.Context,
    /,
    model: str | None,
    repository: str | None,  # cli_triton takes it from the context
    ckpt: str | None,
    to: Target,
    out: str | None,
    data: str | None,
    **options: Any,  # noqa: ANN401 (those of the groups above)
) -> None:
    """Export a checkpoint to ONNX, further to a TensorRT engine, or to Triton Inference Server.

    \b
    crnn-export --ckpt x.pth                       writes x.onnx
    crnn-export --ckpt x.pth --to trt              writes x.onnx, x.trt and x.trt.json
    crnn-export x.onnx --to trt --precision fp16   writes x.fp16.onnx, x.fp16.trt and its .json
    crnn-export x.onnx --to triton REPO            adds a version to a model repository

    An ONNX file is written only if it gives what PyTorch gives, on five widths
    and three batch sizes and on the lines of --data; a reduced precision only if
    it costs less than --max-cer-loss; an engine only if it is what was asked.
    """  # fmt: skip
    check_target(ctx, to)
    if to == "triton":
        write_repository(ctx, options)
        return
    if (model is None) == (ckpt is None):
        raise click.UsageError("give --ckpt with a checkpoint, or MODEL, an ONNX file made before")
    graph = _group(_GraphOptions, options)
    reduction = _group(_PrecisionOptions, options)
    precision = reduction.precision
    if model is not None and (to, precision) == ("onnx", "fp32"):
        raise click.UsageError("nothing to do: an ONNX file needs --to trt or --precision")
    _refuse_contradictions(model is not None, graph, options)
    final = final_path(Path(model or ckpt or ""), out, to, precision)
    if model is not None and final.resolve() == find_model(model).resolve():
        raise CrnnError(f"--out {final} is the file to convert itself: give another name")
    # What can be refused is refused before minutes are spent.
    if precision != "fp32":
        from crnn_export.precision.reduce import check_precision  # noqa: PLC0415

        check_precision(precision, has_lines=data is not None)
    if (to, precision) == ("trt", "int8-cpu"):
        raise click.UsageError("int8-cpu is for ONNX Runtime on a CPU: engines take int8")
    order = _Order(options) if to == "trt" else None
    stem = final.stem.removesuffix(f".{precision}")
    if model is not None:
        onnx_file = find_model(model)
        if order is not None:
            order.accept(_card_of(onnx_file))
    else:
        assert ckpt is not None
        onnx_file = (
            final if (to, precision) == ("onnx", "fp32") else final.with_name(f"{stem}.onnx")
        )
        if precision != "fp32" and onnx_file == final:
            onnx_file = final.with_name(f"{stem}.fp32.onnx")
        card = _export(Path(ckpt), onnx_file, graph, data, order)
        click.echo(f"Wrote {onnx_file} ({_megabytes(onnx_file)}): {card.arch}, {graph.head} head")
    if precision != "fp32":
        reduced = final if to == "onnx" else final.with_name(f"{stem}.{precision}.onnx")
        _convert(onnx_file, reduced, reduction, data)
        onnx_file = reduced
    if order is not None:
        click.echo(order.build(onnx_file, final))


class _Order:
    """The engine that is asked for: refused as early as possible, built last."""

    def __init__(self, options: dict[str, Any]) -> None:
        from crnn_export.cli.engine import EngineOptions  # noqa: PLC0415

        self._options = _group(EngineOptions, options)
        self._profiles: list[Profile] = []

    def accept(self, card: "ModelCard") -> None:
        """Refuse a model that is no engine's, and profiles that it cannot use."""
        if card.precision == "int8-cpu":
            raise CrnnError("the ONNX file is int8-cpu: make an engine from the float32 file")
        source = self._options.profile_from
        lines = _load(source, card).pixels if source else []
        self._profiles = self._options.profiles_for(card, lines)

    def build(self, source: Path, target: Path) -> str:
        """Build it, and say in a few lines what was built."""
        from crnn_export.cli.engine import describe_engine  # noqa: PLC0415

        return describe_engine(self._options.build(source, target, self._profiles))


def _refuse_contradictions(is_onnx: bool, graph: _GraphOptions, options: dict[str, Any]) -> None:
    if graph.width is not None and graph.keep_ratio:
        raise click.UsageError("--width and --keep-ratio exclude each other")
    if options["profile_from"] and options["profile"]:
        raise click.UsageError("--profile and --profile-from exclude each other")
    if math.isnan(options["max_cer_loss"]):
        raise click.UsageError("--max-cer-loss is no number")
    if not is_onnx:
        return
    # An ONNX file is what it is: options that shape one need the checkpoint.
    for option in ("arch", "alphabet", "width", "keep_ratio"):
        if getattr(graph, option):
            name = "--" + option.replace("_", "-")
            raise click.UsageError(f"{name} shapes the export of a checkpoint: give --ckpt")


def final_path(source: Path, out: str | None, to: Target, precision: str) -> Path:
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
    stem = source.name.removesuffix(".tar")
    stem = stem.removesuffix(Path(stem).suffix)
    middle = "" if precision == "fp32" else f".{precision}"
    return source.with_name(f"{stem}{middle}.{to}")


def _group(kind: type[Group], options: dict[str, Any]) -> Group:
    """The options that are the fields of a dataclass."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names})


def _load(data: str | None, card: "ModelCard") -> "Lines":
    from crnn_export.lines import Lines, load_lines  # noqa: PLC0415

    if data is None:
        return Lines()
    return load_lines(data, card, warn=lambda what: click.echo(f"left out: {what}", err=True))


def _export(
    checkpoint: Path,
    path: Path,
    options: _GraphOptions,
    data: str | None,
    order: _Order | None,
) -> "ModelCard":
    # Before torch is loaded: idle threads that spin made the parity check 40 times slower
    # on two busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imported here because --help must not wait for PyTorch.
    from crnn.checkpoints import load_model  # noqa: PLC0415
    from crnn_export.to_onnx import export_onnx  # noqa: PLC0415
    from crnn_runtime.model.alphabet import Alphabet  # noqa: PLC0415

    alphabet = Alphabet.load(options.alphabet) if options.alphabet else None
    reader, card = load_model(checkpoint, options.arch, alphabet)
    if options.keep_ratio or options.width is not None:
        card = card.replace(width=options.width)
    if order is not None:
        order.accept(card)
    lines = _load(data, card).pixels
    click.echo(f"Exporting {card.arch}, {card.num_classes} classes")
    card, parity = export_onnx(
        reader,
        card,
        path,
        head=options.head,
        topk=options.topk,
        lines=lines,
        checkpoint=checkpoint,
    )
    click.echo(f"Parity with PyTorch on {parity}")
    return card


def _convert(source: Path, target: Path, options: _PrecisionOptions, data: str | None) -> None:
    from crnn_export.precision.reduce import convert_precision  # noqa: PLC0415

    lines = _load(data, _card_of(source))
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
    click.echo(f"Wrote {target} ({_megabytes(target)})")


def _card_of(path: Path) -> "ModelCard":
    from crnn_export.onnx_file import read_source  # noqa: PLC0415

    return read_source(path).card


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
