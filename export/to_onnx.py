"""Checkpoint → ONNX with dynamic batch and width, the model card inside."""

import contextlib
import hashlib
import io
import logging
import platform
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from crnn import CRNN
from crnn_export.heads import add_head
from crnn_export.onnx_file import save_reader
from crnn_export.parity import Parity, Reference, check_parity, example_width, network
from crnn_runtime.backends import INPUT_NAME, OUTPUT_NAMES
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.card import Head, ModelCard

logger = logging.getLogger(__name__)

OPSET = 18
"""Understood by ONNX Runtime from 1.14 and TensorRT from 9.0."""
_EXAMPLE_BATCH = 2  # with 1, PyTorch freezes the batch axis of an LSTM


class ParityError(CrnnError):
    """The exported graph disagrees with what it was made from; nothing was written."""


def export_onnx(
    model: CRNN,
    card: ModelCard,
    path: Path,
    *,
    head: Head = "greedy",
    topk: int = 8,
    lines: Sequence[NDArray[np.uint8]] = (),
    checkpoint: Path | None = None,
) -> tuple[ModelCard, Parity]:
    """Write ``path`` if, and only if, it agrees with the model.

    Args:
        model: the reader; put into eval mode.
        card: its card; the written one says head, parity, hashes and versions.
        path: the ONNX file, replaced as a whole or not at all.
        head: what the graph gives (see `crnn_export.heads`).
        topk: classes per step of the ``topk`` head.
        lines: real lines (H, w, C) that both must read alike.
        checkpoint: the file the model came from, for its hash.

    Returns:
        The card inside the file and the measured agreement.

    Raises:
        ParityError: the graph disagrees with PyTorch.
        CrnnError: the graph is not valid or not dynamic, or the file cannot be written.
    """
    model = model.cpu().float().eval()
    flush_denormals(model)
    k = min(topk, card.num_classes)
    graph = _trace(add_head(model, head, k), card.replace(head=head))
    hashes = dict(card.hashes)
    if checkpoint is not None:
        hashes["checkpoint"] = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    card = card.replace(head=head, hashes=hashes, versions={**card.versions, **versions()})
    return write_compared(graph, card, path, network(model, card), lines)


def write_compared(
    graph: onnx.ModelProto,
    card: ModelCard,
    path: Path,
    reference: Reference,
    lines: Sequence[NDArray[np.uint8]],
) -> tuple[ModelCard, Parity]:
    """Write a graph if, and only if, it agrees with what it was made from; see `export_onnx`."""
    parity: Parity | None = None

    def write(part: Path) -> None:
        nonlocal card, parity
        # ONNX Runtime is given a neighbour with the right suffix, then the card
        # gets what was measured on exactly this graph.
        candidate = part.with_suffix(".onnx")
        try:
            save_reader(graph, card, candidate)
            parity = check_parity(reference, candidate, lines)
            if not parity.holds:
                raise ParityError(
                    f"not written, the ONNX graph disagrees with {reference.name}: {parity}"
                )
            card = card.replace(export={**card.export, "parity": parity.summary()})
            save_reader(graph, card, candidate)
            candidate.replace(part)
        finally:
            candidate.unlink(missing_ok=True)

    write_atomically(path, write)
    assert parity is not None
    return card, parity


def _trace(module: nn.Module, card: ModelCard) -> onnx.ModelProto:
    """An ONNX graph whose batch and width are symbols, checked."""
    example = torch.zeros(_EXAMPLE_BATCH, card.channels, card.height, example_width(card))
    shapes = {"images": {0: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}}
    with _quiet():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            input_names=[INPUT_NAME],
            output_names=list(OUTPUT_NAMES[card.head]),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    onnx.checker.check_model(graph, full_check=True)
    _name_axes(graph)
    return graph


def _name_axes(graph: onnx.ModelProto) -> None:
    """Give the dynamic axes readable names, and refuse a graph that froze one."""
    dims = graph.graph.input[0].type.tensor_type.shape.dim
    for axis, name in ((0, "batch"), (3, "width")):
        if dims[axis].WhichOneof("value") != "dim_param":
            raise CrnnError(f"the exporter froze the {name} axis at {dims[axis].dim_value}")
    old_batch, old_width = dims[0].dim_param, dims[3].dim_param
    values = [*graph.graph.input, *graph.graph.output, *graph.graph.value_info]
    for value in values:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == old_batch:
                dim.dim_param = "batch"
            elif dim.dim_param == old_width:
                dim.dim_param = "width"
    for output in graph.graph.output:
        steps = output.type.tensor_type.shape.dim[1]
        if steps.WhichOneof("value") != "dim_param":
            raise CrnnError(f"the exporter froze the time axis at {steps.dim_value}")
        steps.dim_param = "steps"


def write_card(path: Path, card: ModelCard) -> None:
    """Give an ONNX file another card; its graph stays as it is."""
    graph = onnx.load(path)
    write_atomically(path, lambda part: save_reader(graph, card, part))


def flush_denormals(model: nn.Module) -> None:
    """Zero weights too small for normal numbers: CPUs compute with them in microcode."""
    smallest = torch.finfo(torch.float32).tiny
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor[tensor.abs() < smallest] = 0


def versions() -> dict[str, str]:
    """Versions of the software that makes ONNX files, for their cards."""
    names = ("crnn", "torch", "onnx", "onnxscript")
    found = {name: each.version for name in names for each in distributions(name=name)}
    return {"python": platform.python_version()} | found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its warnings about its own internals off the terminal."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
