"""Weights out of an ONNX file, checked against what the file itself computes."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crnn.checkpoints.checkpoint import Checkpoint
from crnn.checkpoints.fit import check_finite, check_fits
from crnn.checkpoints.names import foreign_card
from crnn.checkpoints.onnx_layers import OnnxGraph, read_graph
from crnn.checkpoints.order import best_match
from crnn.model import CRNN, default_card
from crnn_runtime.errors import CrnnError, MissingDependencyError, ModelError, install_command
from crnn_runtime.model.alphabet import (
    Alphabet,
    AlphabetSource,
    fitting_alphabet,
    read_dictionary,
)
from crnn_runtime.model.card import METADATA_KEY, ModelCard
from crnn_runtime.model.foreign_card import PPOCR_KEY, ppocr_dictionary
from crnn_runtime.readers.known import dictionary_beside

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference of a probability between the file and the network that took its weights."""
_WIDTHS = (64, 205, 320)  # pixels


def load_onnx(path: Path, arch: str | None, alphabet: AlphabetSource | None) -> Checkpoint:
    """Read an ONNX file's weights into the architecture that its layers are.

    Raises:
        ModelError: the file is damaged, no recogniser, of no known or another
            architecture or alphabet, or computes something else.
        MissingDependencyError: onnx or onnxruntime is not installed.
    """
    graph = read_graph(path)
    _demand_recogniser(path, graph)
    layers = graph.layers
    match = best_match(layers)
    if match.problem is not None:
        raise ModelError(
            f"{path} is of no known architecture; it fits {match.arch} for {match.fitted} of "
            f"its {len(layers)} layers, then {match.problem}"
        )
    if arch not in (None, match.arch):
        raise ModelError(f"{path} holds a {match.arch}, not the {arch} asked for")
    check_fits(path, match.arch, match.state_dict)
    check_finite(path, match.state_dict)
    checkpoint = Checkpoint(arch=match.arch, card=None, state_dict=match.state_dict)
    card = _card(path, graph, checkpoint, alphabet)
    _verify(path, graph, checkpoint.build())
    return Checkpoint(arch=match.arch, card=card, state_dict=match.state_dict)


def _demand_recogniser(path: Path, graph: OnnxGraph) -> None:
    if graph.axes not in (None, 3) and METADATA_KEY not in graph.metadata:
        raise ModelError(
            f"{path} is no reader of lines: it gives {graph.axes} axes instead of lines, time "
            "steps and classes; is it a detector or a classifier?"
        )
    kinds = [layer.kind for layer in graph.layers]
    if not kinds or kinds[0] != "convolution" or kinds[-1] != "linear":
        raise ModelError(
            f"{path} is no reader of lines: its {len(kinds)} layers do not lead from a convolution "
            "to a linear classifier"
        )


def _card(
    path: Path, graph: OnnxGraph, checkpoint: Checkpoint, source: AlphabetSource | None
) -> ModelCard | None:
    metadata = graph.metadata
    classes, arch = checkpoint.num_classes, checkpoint.arch
    fields: dict[str, Any] = dict(foreign_card(arch))
    if graph.height is not None:
        fields["height"] = graph.height
    if graph.width is not None:
        fields["width"] = graph.width
    try:
        given = None if source is None else fitting_alphabet(source, classes)
        if METADATA_KEY in metadata:
            return _own_card(metadata[METADATA_KEY], arch, given)
        found = _alphabet(path, metadata, given, classes)
        return None if found is None else default_card(arch, found, **fields)
    except CrnnError as error:
        raise ModelError(f"{path}: {error}") from error


def _own_card(text: str, arch: str, alphabet: Alphabet | None) -> ModelCard:
    card = ModelCard.from_json(text)
    if alphabet not in (None, card.alphabet):
        raise ModelError(
            f"its own alphabet of {len(card.alphabet)} characters is not the one of "
            f"{len(alphabet)} given: leave it out"
        )
    return card.replace(arch=arch, head="log-probs", precision="fp32", graph=None)


def _alphabet(
    path: Path, metadata: Mapping[str, str], given: Alphabet | None, classes: int
) -> Alphabet | None:
    """The alphabet in the file or beside it, or the one given; both must agree."""
    inside: Alphabet | None = None
    if PPOCR_KEY in metadata:
        inside = fitting_alphabet(ppocr_dictionary(metadata), classes)
    elif given is None and (beside := dictionary_beside(path)) is not None:
        inside = fitting_alphabet(read_dictionary(beside, is_given=False), classes)
    if inside is not None and given not in (None, inside):
        raise ModelError(
            f"its own alphabet of {len(inside)} characters is not the one of {len(given)} given: "
            "leave it out"
        )
    return inside or given


@torch.no_grad()
def _verify(path: Path, graph: OnnxGraph, model: CRNN) -> None:
    """Demand that the network gives the file's own outputs."""
    session = _session(path)
    widths = _WIDTHS if graph.width is None else (graph.width,)
    height = graph.height or model.backbone.height
    name = session.get_inputs()[0].name
    worst = 0.0
    for pixels in widths:
        images = _strokes((2, model.backbone.in_channels, height, pixels))
        try:
            theirs = session.run(None, {name: images})
        except Exception as error:  # ONNX Runtime's own kinds
            raise ModelError(
                f"{path} does not run on lines of {height} x {pixels}: "
                f"{str(error).splitlines()[0][:200]}"
            ) from error
        ours = model(torch.from_numpy(images)).exp().numpy()
        if theirs[0].shape[:2] != ours.shape[:2]:
            raise ModelError(
                f"{path} gives {theirs[0].shape[1]} time steps for lines {pixels} pixels wide, "
                f"its weights as a known architecture give {ours.shape[1]}"
            )
        worst = max(worst, _difference(theirs, ours, graph.last))
    if not worst <= TOLERANCE:
        raise ModelError(
            f"{path} has the layers of a known architecture, but computes something else: "
            f"probabilities differ by up to {worst:.2g}, more than {TOLERANCE:g}"
        )


def _session(path: Path) -> Any:  # noqa: ANN401
    try:
        import onnxruntime  # noqa: PLC0415 (not part of a training installation)
    except ImportError as error:
        raise MissingDependencyError(
            f"onnxruntime is not installed, which {path} is checked with: {install_command('cpu')}"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own kinds
        raise ModelError(f"{path} does not run: {str(error).splitlines()[0][:200]}") from error


def _strokes(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Dark strokes on bright lines, in -1..1: what a reader is sure and unsure of."""
    random = np.random.default_rng(0)
    coarse = random.random((*shape[:2], -(-shape[2] // 4), -(-shape[3] // 3))) < 0.35
    fine = coarse.repeat(4, axis=2).repeat(3, axis=3)[:, :, : shape[2], : shape[3]]
    return np.where(fine, -0.8, 0.9).astype(np.float32)


def _difference(
    theirs: Sequence[NDArray[np.generic]], ours: NDArray[np.float32], last: str
) -> float:
    """Largest difference of a probability, of the classes that the file's head gives.

    Args:
        theirs: all classes (N, T, C), or this project's heads: classes and their
            probabilities (N, T), or classes and their log-probabilities (N, T, K).
        ours: probabilities (N, T, C).
        last: the operation that computes the first output.
    """
    if len(theirs) == 1:
        scores = theirs[0].astype(np.float32)
        if last != "Softmax":
            scores = np.exp(scores - scores.max(axis=2, keepdims=True))
            scores /= scores.sum(axis=2, keepdims=True)
        return float(np.abs(scores - ours).max())
    ids, values = theirs[0].astype(np.int64), theirs[1].astype(np.float32)
    if ids.ndim == 2:
        ids, values = ids[:, :, None], values[:, :, None]
    else:
        values = np.exp(values)
    chosen = np.take_along_axis(ours, ids, axis=2)
    best = np.abs(ours.max(axis=2) - chosen[:, :, 0])
    return float(max(np.abs(chosen - values).max(), best.max()))
