"""A foreign graph → an ONNX file of this project: its card inside, a head behind its output."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from crnn_export.graph_edit import as_reader
from crnn_export.parity import WIDTHS, Parity, Reference
from crnn_export.to_onnx import versions, write_compared
from crnn_runtime.backends import Backend
from crnn_runtime.errors import ModelError
from crnn_runtime.model.card import Head, ModelCard
from crnn_runtime.model.onnx_bytes import self_contained
from crnn_runtime.picture.preprocess import padded_width


def adopt(
    source: Path,
    backend: Backend,
    path: Path,
    *,
    head: Head = "greedy",
    topk: int = 8,
    lines: Sequence[NDArray[np.uint8]] = (),
) -> tuple[ModelCard, Parity]:
    """Write ``path`` if, and only if, it gives what the foreign file gives.

    The graph stays what it was, whatever its architecture; see `as_reader`.

    Args:
        source: the foreign ONNX file.
        backend: that file, opened with its card.
        path: the ONNX file to write, replaced as a whole or not at all.
        head: what the graph is to give (see `crnn_export.heads`).
        topk: classes per step of the ``topk`` head.
        lines: real lines (H, w, C) that both must read alike.

    Returns:
        The card inside the file and the measured agreement.

    Raises:
        ParityError: the file would give something else.
        ModelError: the graph cannot be brought to this project's form.
        CrnnError: the file cannot be written.
    """
    data = self_contained(source)
    foreign = backend.card
    k = min(topk, foreign.num_classes)
    try:
        graph = as_reader(onnx.load_from_string(data), foreign, head, k)
    except (ModelError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = next(iter(str(error).strip().splitlines()), "it is not valid ONNX")
        raise ModelError(f"{source}: {reason}") from error
    card = foreign.replace(
        graph=None,
        blank=0,
        head=head,
        hashes={**foreign.hashes, "source": hashlib.sha256(data).hexdigest()},
        versions={**foreign.versions, **versions()},
    )
    most = foreign.max_width
    widths = {foreign.only_width or padded_width(foreign, min(width, most)) for width in WIDTHS}
    reference = Reference(
        source.name, lambda images: backend.infer(images)["log_probs"], sorted(widths)
    )
    return write_compared(graph, card, path, reference, lines)
