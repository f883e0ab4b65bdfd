"""An ONNX file in another precision, written only if it reads as the float32 file does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from crnn_export.onnx_file import read_source, save_reader
from crnn_export.precision.fp16 import to_fp16
from crnn_export.precision.int8 import to_int8
from crnn_export.precision.int8_cpu import to_int8_classifier
from crnn_export.precision.measure import Agreement, measure
from crnn_export.precision.modelopt import (
    emulate_bf16,
    require_optimizer,
    to_bf16,
    to_fp8,
)
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.card import PRECISIONS, ModelCard

DEFAULT_MAX_CER_LOSS = 0.005


class PrecisionError(CrnnError):
    """The reduced graph reads worse than was accepted; nothing was written."""


def convert_precision(
    source: Path,
    target: Path,
    precision: str,
    *,
    lines: Sequence[NDArray[np.uint8]] = (),
    truths: Sequence[str] | None = None,
    quantise_ends: bool = False,
    max_cer_loss: float = DEFAULT_MAX_CER_LOSS,
) -> tuple[ModelCard, Agreement]:
    """Write ``target``: the float32 file ``source`` in another precision.

    TensorRT takes an engine's precision from its graph, so this is where it is
    decided; the file also runs on ONNX Runtime, where only ``int8-cpu`` is made to
    be faster.

    Args:
        source: a float32 ONNX file of this project.
        target: the ONNX file to write.
        precision: ``fp16``, ``int8``, ``int8-cpu`` (see `crnn_export.precision.int8_cpu`), or
            with the extra ``modelopt`` ``bf16``, ``fp8``.
        lines: real lines (H, w, C): int8 and fp8 calibrate on them, both files read them.
        truths: what the lines say, if it is known.
        quantise_ends: int8 or fp8 also for the first convolution and the classifier.
        max_cer_loss: character error rate that may be lost on ``lines``, as a fraction.

    Returns:
        The card in the written file and what was measured.

    Raises:
        PrecisionError: more is lost than accepted.
        MissingDependencyError: the precision needs a package that is not there.
        CrnnError: the source is not float32, there is no such precision, int8
            without lines, or the file cannot be written.
    """
    original = read_source(source)
    if original.card.precision != "fp32":
        raise CrnnError(f"{source} is {original.card.precision} already: start from a float32 file")
    check_precision(precision, has_lines=len(lines) > 0)
    if truths is not None and len(truths) != len(lines):
        raise CrnnError(f"{len(lines)} lines but {len(truths)} labels")
    reduced = _reduce(
        onnx.load_from_string(original.data), original.card, precision, lines, quantise_ends
    )
    card = original.card.replace(
        precision=precision, hashes={**original.card.hashes, "onnx_fp32": original.sha256}
    )
    agreement: Agreement | None = None

    def write(part: Path) -> None:
        nonlocal agreement, card
        # bf16 is measured on a graph that rounds as it does: the CPU cannot run it itself.
        save_reader(emulate_bf16(reduced) if precision == "bf16" else reduced, card, part)
        agreement = measure(source, part, card, lines, truths)
        if agreement.cer_loss > max_cer_loss:
            raise PrecisionError(
                f"not written: {precision} costs {agreement.cer_loss:.3%} of characters on "
                f"{len(lines)} lines, accepted are {max_cer_loss:.3%} (--max-cer-loss)"
            )
        card = card.replace(export={**card.export, "precision": agreement.summary()})
        save_reader(reduced, card, part)

    write_atomically(target, write)
    assert agreement is not None
    return card, agreement


def check_precision(precision: str, *, has_lines: bool) -> None:
    """Refuse what needs no model to be refused.

    Raises:
        CrnnError: there is no such precision, or it needs lines to calibrate on.
        MissingDependencyError: it needs Model Optimizer.
    """
    if precision not in PRECISIONS[1:]:
        raise CrnnError(f"precision {precision!r} is not one of {', '.join(PRECISIONS[1:])}")
    if precision in ("int8", "fp8", "int8-cpu") and not has_lines:
        raise CrnnError(f"{precision} needs real lines to calibrate on: give some with --data")
    if precision in ("bf16", "fp8"):
        require_optimizer(precision)


def _reduce(
    model: onnx.ModelProto,
    card: ModelCard,
    precision: str,
    lines: Sequence[NDArray[np.uint8]],
    quantise_ends: bool,
) -> onnx.ModelProto:
    if precision == "fp16":
        return to_fp16(model)
    if precision == "bf16":
        return to_bf16(model)
    if precision == "int8-cpu":
        return to_int8_classifier(model, card, lines)
    if precision == "int8":
        return to_int8(model, card, lines, quantise_ends=quantise_ends)
    return to_fp8(model, card, lines, quantise_ends=quantise_ends)
