"""``crnn-export``: checkpoint → ONNX → TensorRT, each file checked before it is written."""

import dataclasses
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from crnn_runtime.card import HEADS, PRECISIONS, Head
from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError

if TYPE_CHECKING:
    from crnn_export.lines import Lines
    from crnn_export.trt import EngineInfo
    from crnn_runtime.card import ModelCard

Target = Literal["onnx", "trt"]
Group = TypeVar("Group")

_SUFFIXES: dict[Target, tuple[str, ...]] = {"onnx": (".onnx",), "trt": (".trt", ".engine", ".plan")}


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


@dataclasses.dataclass(frozen=True)
class _EngineOptions:
    """What TensorRT builds of it."""

    flavour: str
    batch: str
    widths: tuple[str, ...]
    profile_from: str | None
    target: str
    opt_level: int | None
    timing_cache: Path | None

    @property
    def targets(self) -> list[str]:
        """The GPUs one by one."""
        return [target.strip() for target in self.target.split(",") if target.strip()]


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option("--ckpt", help="Checkpoint: ours, the original's, or meijieru's.")
@click.option("--arch", help="Architecture; needed where the checkpoint does not name it.")
@click.option("--alphabet", help="Name, characters or UTF-8 file; where the checkpoint has none.")
@click.option("--to", type=click.Choice(["onnx", "trt"]), default="onnx", show_default=True)
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
@click.option("--batch", default="1:8:64", show_default=True, help="MIN:OPT:MAX lines.")
@click.option(
    "--profile",
    "widths",
    multiple=True,
    help="MIN:OPT:MAX pixels of width; several make several profiles.  [default: 32:320:2048]",
)
@click.option("--profile-from", help="Take the widths from these images instead.")
@click.option("--target", default="", help="GPUs to build for, as sm_86,sm_89 (rtx only).")
@click.option("--opt-level", type=int, help="0 builds fast, 5 runs fast.")
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path),
    help="Kept between builds (flavour tensorrt only).",
)
@click.version_option(package_name="crnn")
def main(
    model: str | None,
    ckpt: str | None,
    to: Target,
    out: str | None,
    data: str | None,
    **options: Any,  # noqa: ANN401 (those of the groups above)
) -> None:
    """Export a checkpoint to ONNX, or further to a TensorRT engine.

    \b
    crnn-export --ckpt x.pth                       writes x.onnx
    crnn-export --ckpt x.pth --to trt              writes x.onnx, x.trt and x.trt.json
    crnn-export x.onnx --to trt --precision fp16   writes x.fp16.onnx, x.fp16.trt and its .json

    An ONNX file is written only if it gives what PyTorch gives, on five widths
    and three batch sizes and on the lines of --data; a reduced precision only if
    it costs less than --max-cer-loss; an engine only if it is what was asked.
    """  # fmt: skip
    if (model is None) == (ckpt is None):
        raise click.UsageError("give --ckpt with a checkpoint, or MODEL, an ONNX file made before")
    graph = _group(_GraphOptions, options)
    reduction = _group(_PrecisionOptions, options)
    engine = _group(_EngineOptions, options)
    precision = reduction.precision
    if model is not None and (to, precision) == ("onnx", "fp32"):
        raise click.UsageError("nothing to do: an ONNX file needs --to trt or --precision")
    _refuse_contradictions(model is not None, graph, reduction, engine)
    final = final_path(Path(model or ckpt or ""), out, to, precision)
    if model is not None and final.resolve() == Path(model).resolve():
        raise CrnnError(f"--out {final} is the file to convert itself: give another name")
    if to == "trt":  # a library that is missing is told before minutes are spent
        from crnn_export.trt.options import choose_flavour  # noqa: PLC0415

        choose_flavour(engine.flavour, engine.targets)
    stem = final.stem.removesuffix(f".{precision}")
    if model is not None:
        onnx_file = Path(model)
    else:
        assert ckpt is not None
        onnx_file = (
            final if (to, precision) == ("onnx", "fp32") else final.with_name(f"{stem}.onnx")
        )
        if precision != "fp32" and onnx_file == final:
            onnx_file = final.with_name(f"{stem}.fp32.onnx")
        card = _export(Path(ckpt), onnx_file, graph, data)
        click.echo(f"Wrote {onnx_file} ({_megabytes(onnx_file)}): {card.arch}, {graph.head} head")
    if precision != "fp32":
        reduced = final if to == "onnx" else final.with_name(f"{stem}.{precision}.onnx")
        _convert(onnx_file, reduced, reduction, data)
        onnx_file = reduced
    if to == "trt":
        click.echo(describe_engine(_build(onnx_file, final, engine)))


def _refuse_contradictions(
    is_onnx: bool, graph: _GraphOptions, reduction: _PrecisionOptions, engine: _EngineOptions
) -> None:
    if graph.width is not None and graph.keep_ratio:
        raise click.UsageError("--width and --keep-ratio exclude each other")
    if engine.profile_from and engine.widths:
        raise click.UsageError("--profile and --profile-from exclude each other")
    if math.isnan(reduction.max_cer_loss):
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


def describe_engine(info: "EngineInfo") -> str:
    """What was built, in a few lines."""
    record = info.record
    weights = ", ".join(f"{count:,} {kind}" for kind, count in record.weights.items())
    profiles = "; ".join(map(str, record.profiles))
    memory = f", {record.activation_bytes / 1e6:.0f} MB for the largest activations"
    return (
        f"Wrote {info.path} ({_megabytes(info.path)}) and {info.sidecar.name} in "
        f"{info.seconds:.1f} s\n"
        f"  built with {record.built_with} for {', '.join(record.targets) or 'its default GPUs'}\n"
        f"  precision {record.precision}, read back from the {record.evidence} ({weights} weights)"
        f"{memory if record.activation_bytes else ''}\n"
        f"  profiles: {profiles}"
    )


def _group(kind: type[Group], options: dict[str, Any]) -> Group:
    """The options that are the fields of a dataclass."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names})


def _load(data: str | None, card: "ModelCard") -> "Lines":
    from crnn_export.lines import Lines, load_lines  # noqa: PLC0415

    if data is None:
        return Lines()
    return load_lines(data, card, warn=lambda what: click.echo(f"left out: {what}", err=True))


def _export(checkpoint: Path, path: Path, options: _GraphOptions, data: str | None) -> "ModelCard":
    # Before torch is loaded: idle threads that spin made the parity check 40 times slower
    # on two busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imported here because --help must not wait for PyTorch.
    from crnn.checkpoint import load_model  # noqa: PLC0415
    from crnn_export.to_onnx import export_onnx  # noqa: PLC0415
    from crnn_runtime.alphabet import Alphabet  # noqa: PLC0415

    alphabet = Alphabet.load(options.alphabet) if options.alphabet else None
    reader, card = load_model(checkpoint, options.arch, alphabet)
    if options.keep_ratio or options.width is not None:
        card = card.replace(width=options.width)
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
    from crnn_export.precision import convert_precision  # noqa: PLC0415
    from crnn_export.trt.source import read_source  # noqa: PLC0415

    lines = _load(data, read_source(source).card)
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


def _build(source: Path, target: Path, options: _EngineOptions) -> "EngineInfo":
    from crnn_export.trt import build_engine  # noqa: PLC0415
    from crnn_export.trt.options import DEFAULT_PROFILES, profile_from_widths  # noqa: PLC0415
    from crnn_export.trt.source import read_source  # noqa: PLC0415
    from crnn_runtime.engine_file import Profile, Range  # noqa: PLC0415

    batch = Range.parse(options.batch)
    if options.profile_from:
        card = read_source(source).card
        seen = [line.shape[1] for line in _load(options.profile_from, card).pixels]
        profiles = [profile_from_widths(seen, card, batch)]
    else:
        widths = options.widths or (str(DEFAULT_PROFILES[0].width),)
        profiles = [Profile(batch, Range.parse(text)) for text in widths]
    with click.progressbar(length=1000, label="Building") as bar:
        shown = 0

        def report(_: str, share: float) -> None:
            nonlocal shown
            bar.update(int(share * 1000) - shown)
            shown = int(share * 1000)

        return build_engine(
            source,
            target,
            flavour=options.flavour,
            profiles=profiles,
            targets=options.targets,
            opt_level=options.opt_level,
            timing_cache=options.timing_cache,
            progress=report,
        )


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"
