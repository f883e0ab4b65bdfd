"""The sources that ``crnn-export`` starts from: a checkpoint, a reader in ONNX, or a graph made
elsewhere.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from crnn_runtime.errors import CrnnError
from crnn_runtime.model.card import Head
from crnn_runtime.model.model_file import demand, find_kind, is_foreign
from crnn_runtime.readers import find_model
from crnn_runtime.readers.detectors import DETECTORS, find_detector

if TYPE_CHECKING:
    from crnn_export.lines import Lines
    from crnn_export.parity import Parity
    from crnn_runtime.model.card import ModelCard

SourceKind = Literal["checkpoint", "graph", "reader", "engine", "detector"]
Accept = Callable[["ModelCard"], object]

_SHAPES: dict[str, tuple[SourceKind, ...]] = {
    "arch": ("checkpoint",),
    "width": ("checkpoint",),
    "keep_ratio": ("checkpoint",),
    "card": ("graph",),
    "alphabet": ("checkpoint", "graph"),
    "head": ("checkpoint", "graph"),
    "topk": ("checkpoint", "graph"),
    "side": ("detector",),
}
"""Options that shape a float32 file → sources of which one is made."""
_NAMES: dict[SourceKind, str] = {
    "checkpoint": "a checkpoint",
    "graph": "an ONNX file without a model card",
    "reader": "an ONNX file with a model card",
    "engine": "an engine",
    "detector": "a text detector",
}


@dataclasses.dataclass(frozen=True)
class GraphOptions:
    """The options from which the float32 ONNX file is made."""

    arch: str | None
    alphabet: str | None
    card: str | None
    head: Head
    topk: int
    width: int | None
    keep_ratio: bool


@dataclasses.dataclass(frozen=True)
class Source:
    """A model that is exported.

    Attributes:
        kind: ``checkpoint``: weights that PyTorch computes with first; ``graph``: an ONNX file
            of somebody else's; ``reader``: one that has its card inside; ``engine``;
            ``detector``: a graph that finds lines.
        path: of the file.
        given: what the user called it, which results are named after.
    """

    kind: SourceKind
    path: Path
    given: Path

    def check_options(self, context: click.Context) -> None:
        """Refuse options that would have no effect.

        Raises:
            click.UsageError: one was given.
        """
        for name, kinds in _SHAPES.items():
            given = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
            if name == "side" and context.params["pages"]:
                continue  # it says how lines are found
            if given and self.kind not in kinds:
                wanted = " or of ".join(_NAMES[kind] for kind in kinds)
                raise click.UsageError(
                    f"--{name.replace('_', '-')} shapes the export of {wanted}: "
                    f"{self.given} is {_NAMES[self.kind]}"
                )

    @property
    def stem(self) -> str:
        """Its name without ``.pth``, ``.pth.tar`` or ``.onnx``."""
        stem = self.given.name.removesuffix(".tar")
        return stem.removesuffix(Path(stem).suffix)


def find_source(model: str | None, checkpoint: str | None, *, for_server: bool) -> Source:
    """The one place that decides what is exported how.

    Args:
        model: a file or a reader's name.
        checkpoint: the same, taken as weights whatever it is.
        for_server: engines may be given, too.

    Raises:
        click.UsageError: none is given, or both are.
        CrnnError: the file is missing or of no use.
    """
    if (model is None) == (checkpoint is None):
        raise click.UsageError("give one MODEL: a checkpoint (also by --ckpt) or an ONNX file")
    if model is None:
        assert checkpoint is not None
        return Source("checkpoint", find_model(checkpoint), Path(checkpoint))
    if model in DETECTORS:
        return Source("detector", find_detector(model), Path(model))
    path, kind = find_kind(model)
    if kind in ("checkpoint", "safetensors"):
        return Source("checkpoint", path, Path(model))
    if kind == "engine":
        if not for_server:
            demand(path, "onnx", "checkpoint")
        return Source("engine", path, Path(model))
    if not is_foreign(path):
        return Source("reader", path, Path(model))
    return Source("detector" if _finds_lines(path) else "graph", path, Path(model))


def _finds_lines(path: Path) -> bool:
    """Whether a graph gives one map of its picture's size, as text detectors do."""
    import onnx  # noqa: PLC0415 (not for --help)

    graph = onnx.load(path, load_external_data=False).graph
    shapes = [[each.dim_value for each in v.type.tensor_type.shape.dim] for v in graph.output]
    return len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] == 1


def load(data: str | None, card: "ModelCard") -> "Lines":
    """The lines of ``--data``, none without; what is left out is said."""
    from crnn_export.lines import Lines, load_lines  # noqa: PLC0415

    if data is None:
        return Lines()
    return load_lines(data, card, warn=lambda what: click.echo(f"left out: {what}", err=True))


def make_reader(
    source: Source, path: Path, options: GraphOptions, data: str | None, accept: Accept
) -> "ModelCard":
    """Write the float32 ONNX file of a checkpoint or a foreign graph, and say how well it agrees.

    Args:
        source: of either kind.
        path: of the file.
        options: for it.
        data: lines that both must read alike.
        accept: refuses a card that what comes later has no use for, before time is spent.
    """
    # Before torch is loaded: idle threads that spin made the parity check 40 times slower
    # on two busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    make = _trace if source.kind == "checkpoint" else _adopt
    card, parity = make(source, path, options, data, accept)
    against = "PyTorch" if source.kind == "checkpoint" else source.path.name
    click.echo(f"Parity with {against} on {parity}")
    return card


def _trace(
    source: Source, path: Path, options: GraphOptions, data: str | None, accept: Accept
) -> "tuple[ModelCard, Parity]":
    """A checkpoint as PyTorch computes it."""
    # Imported here because --help must not wait for PyTorch.
    from crnn.checkpoints import load_model  # noqa: PLC0415
    from crnn_export.to_onnx import export_onnx  # noqa: PLC0415

    network, card = load_model(source.path, options.arch, options.alphabet)
    if options.keep_ratio or options.width is not None:
        card = card.replace(width=options.width)
    accept(card)
    lines = load(data, card).pixels
    click.echo(f"Exporting {card.arch}, {card.num_classes} classes")
    return export_onnx(
        network,
        card,
        path,
        head=options.head,
        topk=options.topk,
        lines=lines,
        checkpoint=source.path,
    )


def _adopt(
    source: Source, path: Path, options: GraphOptions, data: str | None, accept: Accept
) -> "tuple[ModelCard, Parity]":
    """A foreign graph as it is, with its card inside and a head behind it."""
    from crnn_export.adopt import adopt  # noqa: PLC0415
    from crnn_runtime.backends import open_backend  # noqa: PLC0415

    with open_backend(source.path, card=options.card, alphabet=options.alphabet) as backend:
        card = backend.card
        accept(card.replace(graph=None, blank=0))
        lines = load(data, card).pixels
        click.echo(f"Taking the graph of {source.path.name}, {card.num_classes} classes")
        return adopt(source.path, backend, path, head=options.head, topk=options.topk, lines=lines)


def card_of(path: Path) -> "ModelCard":
    """The card inside a reader's file, which is checked.

    Raises:
        CrnnError: it is no valid ONNX file of a reader.
    """
    from crnn_export.onnx_file import read_source  # noqa: PLC0415

    return read_source(path).card


def refuse_itself(source: Source, path: Path) -> None:
    """Refuse to write over what is read.

    Raises:
        CrnnError: the paths are of one file.
    """
    if path.resolve() == source.path.resolve():
        raise CrnnError(f"{path} is the file to convert itself: give another name with --out")
