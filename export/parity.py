"""The gate of the export: does the file give what it was made from gives?"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from crnn import CRNN
from crnn_runtime.backends import Backend, open_backend
from crnn_runtime.decode.greedy import best_path, decode_greedy
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.preprocess import padded_width, to_input, valid_steps

WIDTHS = (32, 96, 280, 511, 1024)
"""Widths in pixels that are compared: bucket edges, the original's 280, an odd one, a long line."""
BATCHES = (1, 2, 5)
TOLERANCE = 1e-4
"""Largest difference of a log-probability that is accepted, see `Parity.max_difference`."""


@dataclass(frozen=True)
class Reference:
    """The outputs and texts that a file must agree with.

    Attributes:
        name: of it, for messages.
        log_probs: (N, C, H, W) → (N, T, C).
        widths: in pixels, that are compared.
    """

    name: str
    log_probs: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    widths: Sequence[int]


@dataclass(frozen=True)
class Parity:
    """The differences between a file and the model it was made from.

    Attributes:
        shapes: input shapes (N, W) compared.
        steps: time steps compared.
        max_difference: largest difference of a log-probability; where a step's
            log-probabilities reach beyond -1, divided by the lowest, because
            float32 logits are only as exact as they are large.
        ties: steps on which the best classes differ though the reference holds them
            equal within the tolerance.
        flips: steps on which they differ and should not.
        lines: real lines compared.
        texts_differing: real lines that read differently.
    """

    shapes: int
    steps: int
    max_difference: float
    ties: int
    flips: int
    lines: int = 0
    texts_differing: int = 0

    @property
    def holds(self) -> bool:
        """Whether the file may be written."""
        return self.max_difference <= TOLERANCE and not self.flips and not self.texts_differing

    def __str__(self) -> str:
        lines = f", {self.texts_differing} of {self.lines} lines read differently"
        return (
            f"{self.shapes} shapes, {self.steps} steps: largest error of a log-probability "
            f"{self.max_difference:.1e} (relative beyond 1; accepted {TOLERANCE:.0e}), "
            f"best class differs on {self.flips} steps and {self.ties} ties"
            + (lines if self.lines else "")
        )

    def summary(self) -> dict[str, float]:
        """For the model card."""
        return asdict(self)


def check_parity(
    reference: Reference, path: Path, lines: Sequence[NDArray[np.uint8]] = (), *, seed: int = 0
) -> Parity:
    """Run an exported file and what it was made from on the same inputs.

    Args:
        reference: what it was made from.
        path: the ONNX file.
        lines: real lines (H, w, C) as `resize_line` gives them, read as text by both.
        seed: of the random inputs.

    Raises:
        CrnnError: the file fails to run at some shape.
    """
    generator = np.random.default_rng(seed)
    with open_backend(path) as backend:
        card = backend.card
        results = []
        for width in reference.widths:
            for batch in BATCHES:
                shape = (batch, card.channels, card.height, width)
                images = generator.standard_normal(shape, np.float32)
                results.append(_compare(reference, backend, images))
        differing = sum(
            _text(backend, line, None) != _text(backend, line, reference) for line in lines
        )
    worst, steps, ties, flips = zip(*results, strict=True)
    return Parity(
        shapes=len(results),
        steps=sum(steps),
        max_difference=max(worst),
        ties=sum(ties),
        flips=sum(flips),
        lines=len(lines),
        texts_differing=differing,
    )


def network(model: CRNN, card: ModelCard) -> Reference:
    """A network of PyTorch's as the reference: in evaluation mode, on the CPU."""

    @torch.inference_mode()
    def log_probs(images: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = model(torch.from_numpy(images)).numpy()
        return found

    return Reference("PyTorch", log_probs, widths_to_compare(card))


def widths_to_compare(card: ModelCard) -> list[int]:
    """Five widths in pixels, a model's fixed one among them."""
    if card.width is None or card.width in WIDTHS:
        return list(WIDTHS)
    return sorted({*WIDTHS, card.width} - {WIDTHS[1]})


def _compare(
    reference: Reference, backend: Backend, images: NDArray[np.float32]
) -> tuple[float, int, int, int]:
    """(largest difference, steps, ties, flips) for one input."""
    expected = reference.log_probs(images)
    try:
        outputs = backend.infer(images)
    except Exception as error:  # the library's exceptions share no base class
        shape = "×".join(map(str, images.shape))
        reason = str(error).strip().splitlines()[-1]
        raise CrnnError(f"the exported graph fails on an input {shape}: {reason}") from error
    ids, probs = best_path(outputs)
    if ids.shape != expected.shape[:2]:
        raise CrnnError(
            f"the exported graph gives {ids.shape} steps for an input {images.shape}, "
            f"{reference.name} {expected.shape[:2]}"
        )
    at_ids = np.take_along_axis(expected, ids[:, :, None].astype(np.int64), 2)[:, :, 0]
    if "log_probs" in outputs:
        errors = np.abs(outputs["log_probs"] - expected).max(2)
    elif "topk_ids" in outputs:
        at_k = np.take_along_axis(expected, outputs["topk_ids"].astype(np.int64), 2)
        errors = np.abs(outputs["topk_log_probs"] - at_k).max(2)
    else:
        errors = np.abs(np.log(probs) - at_ids)
    difference = float((errors / np.maximum(1, -expected.min(2))).max())
    differs = ids != expected.argmax(2)
    tied = differs & (expected.max(2) - at_ids <= TOLERANCE)
    return difference, ids.size, int(tied.sum()), int((differs & ~tied).sum())


def _text(backend: Backend, line: NDArray[np.uint8], reference: Reference | None) -> str:
    """Returns the text that the file reads in one line, or the reference if it is given."""
    card = backend.card
    images = to_input([line], card)
    outputs = {"log_probs": reference.log_probs(images)} if reference else backend.infer(images)
    ids, probs = best_path(outputs)
    steps = np.minimum([valid_steps(card, line.shape[1])], ids.shape[1])
    return decode_greedy(ids, probs, steps, card.alphabet)[0]


def example_width(card: ModelCard) -> int:
    """A width the model is made for, to trace it with."""
    return padded_width(card, card.width or 320)
