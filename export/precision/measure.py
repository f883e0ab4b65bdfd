"""Compares a graph of reduced precision with the float32 graph, by ONNX Runtime on the CPU."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from crnn_runtime.backends import INPUT_NAME, OUTPUT_NAMES
from crnn_runtime.cpu import available_cpus
from crnn_runtime.decode.greedy import best_path, decode_greedy
from crnn_runtime.errors import ModelError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.preprocess import to_input, valid_steps

_NOISE_WIDTHS = (64, 280, 640)
_NOISE_BATCH = 2


@dataclasses.dataclass(frozen=True)
class Agreement:
    """A reduced graph against float32.

    Attributes:
        precision: of the reduced graph.
        steps: time steps compared, on lines, or on noise where no line was given.
        steps_differing: of which the best class differs.
        max_difference: largest difference of the best class's probability.
        lines: real lines read by both.
        texts_differing: lines that read differently.
        cer_between: edit distance between the two readings over the float32
            reading's characters.
        cer_fp32: character error rate of float32 against the truth; None without labels.
        cer: of the reduced graph; None without labels.
    """

    precision: str
    steps: int
    steps_differing: int
    max_difference: float
    lines: int = 0
    texts_differing: int = 0
    cer_between: float = 0.0
    cer_fp32: float | None = None
    cer: float | None = None

    @property
    def cer_loss(self) -> float:
        """Character error rate that the precision costs: true where labels are known, else
        the disagreement, which is the most that it can cost."""
        if self.cer is not None and self.cer_fp32 is not None:
            return self.cer - self.cer_fp32
        return self.cer_between

    def __str__(self) -> str:
        steps = (
            f"best class differs on {self.steps_differing} of {self.steps} steps, "
            f"probability by {self.max_difference:.1e} at most"
        )
        if not self.lines:
            return f"{self.precision} against fp32 on noise: {steps} (no real lines given)"
        text = (
            f"{self.precision} against fp32 on {self.lines} lines: {self.texts_differing} read "
            f"differently, {self.cer_between:.3%} of characters; {steps}"
        )
        if self.cer is not None and self.cer_fp32 is not None:
            text += f"; CER {self.cer:.3%} against {self.cer_fp32:.3%}"
        return text

    def summary(self) -> dict[str, Any]:
        """For the model card."""
        return dataclasses.asdict(self)


def measure(
    reference: Path,
    reduced: Path,
    card: ModelCard,
    lines: Sequence[NDArray[np.uint8]] = (),
    truths: Sequence[str] | None = None,
) -> Agreement:
    """Run both graphs on the same inputs.

    Args:
        reference: the float32 ONNX file.
        reduced: the other one.
        card: of the reduced one.
        lines: real lines (H, w, C); noise is compared where there is none.
        truths: what the lines say, if it is known.

    Raises:
        ModelError: ONNX Runtime cannot run one of them, or it gives values that are not numbers.
    """
    sessions = (open_session(reference), open_session(reduced, as_written=True))
    total = differing = 0
    worst = 0.0
    texts: list[list[str]] = []
    for images, steps in _inputs(card, lines):
        (ids, probs), (other_ids, other_probs) = (_run(s, card, images) for s in sessions)
        valid = np.arange(ids.shape[1]) < steps[:, None]
        total += int(valid.sum())
        differing += int((ids != other_ids)[valid].sum())
        worst = max(worst, float(np.abs(probs - other_probs)[valid].max()))
        if lines:
            pairs = ((ids, probs), (other_ids, other_probs))
            within = np.minimum(steps, ids.shape[1])
            texts.append([decode_greedy(*pair, within, card.alphabet)[0] for pair in pairs])
    agreement = Agreement(card.precision, total, differing, worst)
    return _with_texts(agreement, texts, truths) if texts else agreement


def open_session(path: Path, *, as_written: bool = False) -> ort.InferenceSession:
    """A session on the CPU.

    Args:
        path: of the ONNX file.
        as_written: compute the graph node by node. Optimised, ONNX Runtime multiplies
            8-bit numbers with sums that overflow on CPUs without VNNI, which a GPU
            does not; and one optimiser ends the process on some float16 graphs
            (onnxruntime 1.32, x86).

    Raises:
        ModelError: ONNX Runtime cannot load it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's exceptions share no base class
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{path}: ONNX Runtime cannot load it: {reason}") from error


def _run(
    session: ort.InferenceSession, card: ModelCard, images: NDArray[np.float32]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Best class and its probability per step, both (N, T)."""
    names = list(OUTPUT_NAMES[card.head])
    outputs = dict(zip(names, session.run(names, {INPUT_NAME: images}), strict=True))
    ids, probs = best_path(outputs)
    if not np.isfinite(probs).all():
        raise ModelError(f"the {card.precision} graph gives values that are not numbers")
    return ids, probs


def _inputs(
    card: ModelCard, lines: Sequence[NDArray[np.uint8]]
) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Inputs (N, C, H, W) with their valid steps (N,): the lines one by one, or noise."""
    if lines:
        return [
            (to_input([line], card), np.array([valid_steps(card, line.shape[1])])) for line in lines
        ]
    random = np.random.default_rng(0)
    widths = _NOISE_WIDTHS if card.width is None else (card.width,)
    return [
        (
            random.standard_normal((_NOISE_BATCH, card.channels, card.height, width), np.float32),
            np.full(_NOISE_BATCH, valid_steps(card, width)),
        )
        for width in widths
    ]


def _with_texts(
    agreement: Agreement, texts: list[list[str]], truths: Sequence[str] | None
) -> Agreement:
    first, second = zip(*texts, strict=True)
    rates: tuple[float | None, float | None] = (None, None)
    if truths is not None:
        rates = (error_rate(truths, first), error_rate(truths, second))
    return dataclasses.replace(
        agreement,
        lines=len(texts),
        texts_differing=sum(a != b for a, b in texts),
        cer_between=error_rate(first, second),
        cer_fp32=rates[0],
        cer=rates[1],
    )


def error_rate(truths: Sequence[str], readings: Sequence[str]) -> float:
    """Edit distance over the number of true characters; 1 where there is no character at all."""
    pairs = list(zip(truths, readings, strict=True))
    distance = sum(Levenshtein.distance(truth, reading) for truth, reading in pairs)
    return distance / max(1, sum(map(len, truths)))
