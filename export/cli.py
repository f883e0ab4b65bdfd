"""``crnn-export``: checkpoint → ONNX, each file checked before it is written."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.card import HEADS, Head
from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError, ImageError

if TYPE_CHECKING:
    from crnn_runtime.card import ModelCard

_MAX_PARITY_LINES = 200


@click.command(cls=Command)
@click.option("--ckpt", required=True, help="Checkpoint: ours, the original's, or meijieru's.")
@click.option("--arch", help="Architecture; needed where the checkpoint does not name it.")
@click.option(
    "--alphabet",
    help="A string, or a UTF-8 text file; needed where the checkpoint has none.",
)
@click.option("--out", help="File to write (default: the checkpoint's name with .onnx).")
@click.option("--head", type=click.Choice(HEADS), default="greedy", show_default=True)
@click.option("--topk", default=8, show_default=True, help="Classes a step of the topk head.")
@click.option("--width", type=click.IntRange(min=1), help="Stretch every line to this width.")
@click.option("--keep-ratio", is_flag=True, help="Keep every line's aspect ratio.")
@click.option("--data", help="Images of lines (file, folder, glob) that both must read alike.")
@click.version_option(package_name="crnn")
def main(
    ckpt: str,
    arch: str | None,
    alphabet: str | None,
    out: str | None,
    head: Head,
    topk: int,
    width: int | None,
    keep_ratio: bool,
    data: str | None,
) -> None:
    """Export a checkpoint to an ONNX file with dynamic batch and width.

    The file is written only if it gives what PyTorch gives, on five widths and
    three batch sizes and on the lines of --data.
    """
    # Imported here because --help must not wait for PyTorch.
    from crnn.checkpoint import load_model  # noqa: PLC0415
    from crnn_export.to_onnx import export_onnx  # noqa: PLC0415
    from crnn_runtime.alphabet import Alphabet  # noqa: PLC0415

    if width is not None and keep_ratio:
        raise click.UsageError("--width and --keep-ratio exclude each other")
    model, card = load_model(
        Path(ckpt), arch=arch, alphabet=Alphabet.load(alphabet) if alphabet else None
    )
    if keep_ratio or width is not None:
        card = card.replace(width=width)
    path = Path(out) if out else onnx_path(Path(ckpt))
    lines = load_lines(data, card) if data else []
    click.echo(f"Exporting {card.arch}, {card.num_classes} classes, {head} head")
    card, parity = export_onnx(
        model, card, path, head=head, topk=topk, lines=lines, checkpoint=Path(ckpt)
    )
    click.echo(f"Parity with PyTorch on {parity}")
    click.echo(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")


def onnx_path(checkpoint: Path) -> Path:
    """``x.pth`` and ``x.pth.tar`` → ``x.onnx``, beside it."""
    stem = checkpoint.name.removesuffix(".tar")
    return checkpoint.with_name(stem.removesuffix(Path(stem).suffix) + ".onnx")


def load_lines(images: str, card: "ModelCard") -> list[NDArray[np.uint8]]:
    """Lines (H, w, C) prepared for the model, the first 200.

    Raises:
        CrnnError: no image can be read.
    """
    from crnn_runtime.cli import iter_paths  # noqa: PLC0415
    from crnn_runtime.image import load_image  # noqa: PLC0415
    from crnn_runtime.preprocess import resize_line  # noqa: PLC0415

    lines = []
    reason = "no image there"
    for path in islice(iter_paths((images,)), _MAX_PARITY_LINES):
        try:
            lines.append(resize_line(load_image(path, card.color), card))
        except ImageError as error:
            reason = f"{path}: {error}"
            click.echo(f"left out: {reason}", err=True)
    if not lines:
        raise CrnnError(f"--data {images}: no line can be read ({reason})")
    return lines
