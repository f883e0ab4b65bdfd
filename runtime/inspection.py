"""Shows how a line was read: what the model gave at every time step, and where the time went.

The steps of `crnn_runtime.pipeline` are done as `Recognizer.read` does them, and what
passes between them is kept. So what a person is shown is what is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.decode.decoding import Decoding, open_decoder
from crnn_runtime.decode.greedy import best_path
from crnn_runtime.decode.lattice import Outputs, to_lattice
from crnn_runtime.errors import CrnnError
from crnn_runtime.line import Alternative, Line
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.preprocess import Piece
from crnn_runtime.picture.rotate import rotated
from crnn_runtime.picture.sources import ImageSource
from crnn_runtime.pipeline import UNREADABLE, Pipeline, Strip, char_spans, named

STAGES = ("load", "preprocess", "infer", "decode", "search")
"""The stages that are timed: decoding the file; cutting, scaling and normalising; the network;
turning its outputs into the line; the search for alternatives.
"""
TOP_K = 8
"""Classes of a time step that are kept, at most."""


@dataclass(frozen=True, slots=True)
class TimeSteps:
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
        height: of the source image in pixels, turned as the line says.
        width: likewise.
        steps: of each of the line's pieces, from left to right; they overlap.
        alternatives: the most probable texts, best first, of the recognizer's own search
            or else of a plain beam search. Empty if the head is ``greedy``, if the line was
            read in several pieces, or if none were asked for.
        seconds: wall time of each of `STAGES`, for the reading that counts.
    """

    line: Line
    height: int
    width: int
    steps: tuple[TimeSteps, ...]
    alternatives: tuple[Alternative, ...]
    seconds: Mapping[str, float]


def inspect_line(source: ImageSource, pipeline: Pipeline, nbest: int) -> Inspection:
    """See `crnn_runtime.Recognizer.inspect`.

    Args:
        source: the image.
        pipeline: of the recognizer, whose errors are raised.
        nbest: alternatives wanted, 0 for none.
    """
    if nbest < 0:
        raise CrnnError(f"nbest is {nbest}: it must be at least 0")
    card = pipeline.backend.card
    given = pipeline.take(source)
    turned = pipeline.read(given).turned if pipeline.turn else 0
    watch = _StopWatch()
    try:
        image, reduction = pipeline.load(given)
        watch.stop("load")
        image = rotated(image, turned)
        strips = pipeline.scale(image, reduction, turned)
    except UNREADABLE as error:
        raise named(error, given) from error
    lines, steps = [], []
    outputs: Outputs = {}
    for strip in strips:
        images = pipeline.to_input([strip])
        watch.stop("preprocess")
        outputs = pipeline.infer(images)
        watch.stop("infer")
        lines += pipeline.decode(outputs, [strip])
        watch.stop("decode")
        steps.append(_time_steps(outputs, strip, card))
        watch.start()
    pieces = [strip.piece for strip in strips]
    line = pipeline.join(pieces, lines)
    watch.stop("decode")
    alternatives = line.alternatives
    if nbest and not alternatives and len(strips) == 1 and card.head != "greedy":
        alternatives = _search(outputs, strips[0], card, nbest)
        watch.stop("search")
    width = pieces[-1].offset + pieces[-1].width
    return Inspection(line, pieces[0].height, width, tuple(steps), alternatives, watch.seconds)


class _StopWatch:
    """Adds up the time of each of `STAGES`."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.start()

    def start(self) -> None:
        """Leave out the time since the last call."""
        self._since = perf_counter()

    def stop(self, stage: str) -> None:
        """Add the time since the last call to a stage."""
        now = perf_counter()
        self.seconds[stage] += now - self._since
        self._since = now


def _time_steps(outputs: Outputs, strip: Strip, card: ModelCard) -> TimeSteps:
    if card.head == "greedy":
        best, probs = best_path(outputs)
        ids, log_probs = best[:, :, None].astype(np.int64), np.log(probs[:, :, None])
    else:
        top_k = min(TOP_K, card.num_classes)
        lattice = to_lattice(outputs, np.array([strip.steps]), alphabet=card.alphabet, top_k=top_k)
        ids, log_probs = lattice.ids, lattice.log_probs
    length = min(strip.steps, ids.shape[1])
    x0, x1 = char_spans(np.arange(length), np.arange(length), card, strip)
    return TimeSteps(
        strip.piece,
        ids[0, :length],
        log_probs[0, :length].astype(np.float64),
        x0 + strip.piece.offset,
        x1 + strip.piece.offset,
    )


def _search(outputs: Outputs, strip: Strip, card: ModelCard, nbest: int) -> tuple[Alternative, ...]:
    default = Decoding().beam_width
    options = Decoding(method="beam", nbest=nbest, beam_width=max(default, nbest))
    decoder = open_decoder(options, card)
    return decoder.decode(outputs, np.array([strip.steps]))[0].alternatives
