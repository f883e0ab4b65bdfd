"""One line looked into: what the model gave at every time step, and where the time went.

Nothing is computed twice or otherwise: the stages of `Recognizer.read` run as they are,
and what passes between them is kept. So what a person is shown is what is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import Backend
from crnn_runtime.decode.ctc import char_spans
from crnn_runtime.decode.decoding import Decoding, best_path, open_decoder
from crnn_runtime.decode.lattice import Outputs, to_lattice
from crnn_runtime.errors import CrnnError
from crnn_runtime.line import Alternative, Line
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import ImageSource
from crnn_runtime.picture.long_lines import Piece
from crnn_runtime.picture.preprocess import load_line, valid_steps
from crnn_runtime.pipeline import Stages, Strip

STAGES = ("load", "preprocess", "infer", "decode", "search")
"""What is timed: decoding the file; cutting, scaling, normalising; the network; from its
outputs to the line; the search for alternatives."""
TOP_K = 8
"""Classes of a time step that are kept, at most."""

Load = Callable[[ImageSource, ModelCard], tuple[NDArray[np.uint8], int]]


@dataclass(frozen=True, slots=True)
class Steps:
    """The T time steps of a piece of a line, those in the padding left out.

    Attributes:
        piece: what it shows of the source image.
        ids: (T, K) the most probable classes, best first; 0 is the blank, class c the
            alphabet's character c - 1. K is 1 if the head is ``greedy``, else at most `TOP_K`.
        log_probs: (T, K) natural logarithms of their probabilities.
        x0: (T,) left edges in pixels of the source image.
        x1: (T,) right edges.
    """

    piece: Piece
    ids: NDArray[np.int64]
    log_probs: NDArray[np.float64]
    x0: NDArray[np.float64]
    x1: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inspection:
    """A line and how it came about.

    Attributes:
        line: what `Recognizer.read` gives.
        height: of the source image in pixels.
        width: of the source image in pixels.
        steps: of each of the line's pieces, from left to right; they overlap.
        alternatives: the most probable texts, best first, of the recognizer's own search
            or else of a plain beam search. Empty if the head is ``greedy``, if the line was
            read in several pieces, or if none were asked for.
        seconds: wall time of each of `STAGES`.
    """

    line: Line
    height: int
    width: int
    steps: tuple[Steps, ...]
    alternatives: tuple[Alternative, ...]
    seconds: Mapping[str, float]


class _Watched(Backend):
    """A backend whose last outputs and the time they took are kept."""

    def __init__(self, backend: Backend) -> None:
        self.card = backend.card
        self._backend = backend
        self.outputs: dict[str, NDArray[Any]] = {}
        self.started = self.ended = 0.0

    def close(self) -> None:
        """It is somebody else's to release."""

    def infer(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """See `Backend.infer`."""
        self.started = perf_counter()
        self.outputs = self._backend.infer(images)
        self.ended = perf_counter()
        return self.outputs


def inspect_line(
    source: ImageSource,
    backend: Backend,
    open_stages: Callable[[Backend, Load], Stages],
    nbest: int,
) -> Inspection:
    """See `crnn_runtime.Recognizer.inspect`.

    Args:
        source: the image.
        backend: of the model.
        open_stages: a backend and what loads images → the recognizer's stages.
        nbest: alternatives wanted, 0 for none.
    """
    if nbest < 0:
        raise CrnnError(f"nbest is {nbest}: it must be at least 0")
    loaded: list[tuple[NDArray[np.uint8], int]] = []
    seconds = dict.fromkeys(STAGES, 0.0)

    def load(image: ImageSource, card: ModelCard) -> tuple[NDArray[np.uint8], int]:
        start = perf_counter()
        loaded.append(load_line(image, card))
        seconds["load"] = perf_counter() - start
        return loaded[0]

    watched, card = _Watched(backend), backend.card
    stages = open_stages(watched, load)
    start = perf_counter()
    strips = stages.prepare(source)
    seconds["preprocess"] = perf_counter() - start - seconds["load"]
    assert not isinstance(strips, Line), "stages that raise give no line in place of strips"
    readings, steps = [], []
    for strip in strips:
        start = perf_counter()
        readings += stages.read([strip])
        seconds["preprocess"] += watched.started - start
        seconds["infer"] += watched.ended - watched.started
        seconds["decode"] += perf_counter() - watched.ended
        steps.append(_steps(watched.outputs, strip, card))
    start = perf_counter()
    line = stages.join([strip.piece for strip in strips], readings)
    seconds["decode"] += perf_counter() - start
    start = perf_counter()
    alternatives = line.alternatives
    if nbest and not alternatives and len(strips) == 1 and card.head != "greedy":
        alternatives = _search(watched.outputs, strips[0], card, nbest)
        seconds["search"] = perf_counter() - start
    image, reduction = loaded[0]
    height, width = image.shape[:2]
    return Inspection(
        line, height * reduction, width * reduction, tuple(steps), alternatives, seconds
    )


def _counted(strip: Strip, card: ModelCard) -> NDArray[np.int64]:
    return np.array([valid_steps(card, strip.pixels.shape[1])])


def _steps(outputs: Outputs, strip: Strip, card: ModelCard) -> Steps:
    count = _counted(strip, card)
    if card.head == "greedy":
        best, probs = best_path(outputs)
        ids, log_probs = best[:, :, None].astype(np.int64), np.log(probs[:, :, None])
    else:
        top_k = min(TOP_K, card.num_classes)
        lattice = to_lattice(outputs, count, alphabet=card.alphabet, top_k=top_k)
        ids, log_probs = lattice.ids, lattice.log_probs
    length = min(int(count[0]), ids.shape[1])
    width = strip.pixels.shape[1]
    x0, x1 = char_spans(np.arange(length), np.arange(length), card, width)
    scale = strip.piece.width / width
    return Steps(
        strip.piece,
        ids[0, :length],
        log_probs[0, :length].astype(np.float64),
        x0 * scale + strip.piece.offset,
        x1 * scale + strip.piece.offset,
    )


def _search(outputs: Outputs, strip: Strip, card: ModelCard, nbest: int) -> tuple[Alternative, ...]:
    default = Decoding().beam_width
    options = Decoding(method="beam", nbest=nbest, beam_width=max(default, nbest))
    decoder = open_decoder(options, card)
    return decoder.decode(outputs, _counted(strip, card))[0].alternatives
