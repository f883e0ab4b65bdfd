"""The losses of a batch: CTC, and the places of characters where they are known."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crnn.data.loader import Batch
from crnn.few_classes import uncompiled


@uncompiled
def own_classes(batch: Batch) -> tuple[Tensor, Batch]:
    """The classes that the text of each line names, for `crnn.few_classes.few_log_probs`.

    Args:
        batch: on any device.

    Returns:
        (N, K) int64, blank, the line's characters, each once, and -1 where there are fewer;
        and the batch with targets that are places among them. The losses here take that
        batch with the log-probabilities of these classes as they take a whole one.
    """
    count = len(batch.lengths)
    lines = torch.arange(count, device=batch.lengths.device)
    base = int(batch.targets.max()) + 1 if len(batch.targets) else 1
    pairs, places = torch.unique(
        lines.repeat_interleave(batch.lengths) * base + batch.targets, return_inverse=True
    )
    line = pairs // base
    place = torch.arange(len(pairs), device=line.device) - torch.searchsorted(line, lines)[line] + 1
    most = int(place.max()) if len(place) else 0
    classes = torch.full((count, most + 1), -1, device=line.device)
    classes[:, 0] = 0
    classes[line, place] = pairs % base
    return classes, batch._replace(targets=place[places])


@uncompiled
def ctc_loss(log_probs: Tensor, batch: Batch, weights: Tensor | None = None) -> Tensor:
    """Mean over the lines of the loss per character (Graves et al. 2006), always in float32.

    Padded steps take no part. A line that cannot be aligned counts as zero
    instead of infinity; the pre-flight names such lines.

    Args:
        log_probs: (N, T, C).
        batch: on the same device.
        weights: (N,), of the lines; None is 1 for each.
    """
    losses = F.ctc_loss(
        log_probs.float().transpose(0, 1),  # (T, N, C)
        batch.targets,
        batch.steps.clamp(max=log_probs.shape[1]),
        batch.lengths,
        reduction="mean" if weights is None else "none",
        zero_infinity=True,
    )
    if weights is None:
        return losses
    return (losses / batch.lengths.clamp(min=1) * weights).mean()


@uncompiled
def placed_loss(log_probs: Tensor, batch: Batch, weight: float) -> Tensor:
    """CTC and the places of the characters, for the lines that know them.

    The others, such as photographs in a mix, have CTC alone, at its full weight.

    Args:
        log_probs: (N, T, C).
        batch: on the same device.
        weight: of the places beside CTC, 0 to 1.
    """
    lines = torch.arange(len(batch.lengths), device=log_probs.device)
    known = torch.zeros(len(lines), device=log_probs.device)
    known[lines.repeat_interleave(batch.lengths)[batch.columns >= 0]] = 1.0
    ctc = ctc_loss(log_probs, batch, 1 - weight * known)
    return ctc + alignment_loss(log_probs, batch) * weight * known.mean()


_BLANK_WEIGHT = 0.1
_BLANK_SHARE = 0.12
"""Share of the steps without a character that `chosen_steps` takes."""


def alignment_loss(log_probs: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy at the step where each character is centred, blank elsewhere.

    CTC must find out where the characters are before it can learn what they are,
    and spends thousands of lines on it. Synthetic lines know; this loss tells.
    Lines that do not know take no part.

    Args:
        log_probs: (N, T, C).
        batch: on the same device.
    """
    log_probs = log_probs.float()
    classes, weights = _aligned(batch, log_probs.shape[1])
    losses = -log_probs.gather(2, classes[:, :, None])[:, :, 0] * weights
    return losses.sum() / weights.sum().clamp(min=1.0)


class Steps(NamedTuple):
    """Time steps to learn from, of all steps of a batch of lines.

    Attributes:
        indices: (K,) int64, line * T + step.
        classes: (K,) int64, what each shows: a character's code or blank.
        weights: (K,) float32, of their losses.
    """

    indices: Tensor
    classes: Tensor
    weights: Tensor


@uncompiled
def chosen_steps(batch: Batch, frames: int) -> Steps:
    """The steps on which characters are centred, and a random share of the blank ones.

    Which blanks is drawn from torch's generator of the CPU. A batch in which nobody
    knows where characters are gives its first step at weight 0.

    Args:
        batch: on any device.
        frames: T of the network's output.
    """
    classes, weights = _aligned(batch, frames)
    lot = torch.rand(classes.shape).to(classes.device) < _BLANK_SHARE
    weights = torch.where(classes == 0, weights * lot / _BLANK_SHARE, weights).flatten()
    indices = weights.nonzero()[:, 0] if bool(weights.any()) else torch.zeros_like(classes[0, :1])
    return Steps(indices, classes.flatten()[indices], weights[indices])


@uncompiled
def steps_loss(log_probs: Tensor, steps: Steps) -> Tensor:
    """`alignment_loss` over chosen steps alone.

    Args:
        log_probs: (K, C), of `steps.indices`.
        steps: on the same device.
    """
    losses = F.nll_loss(log_probs.float(), steps.classes, reduction="none") * steps.weights
    return losses.sum() / steps.weights.sum().clamp(min=1.0)


def _aligned(batch: Batch, frames: int) -> tuple[Tensor, Tensor]:
    """The class of every step and the weight of its loss, each (N, T)."""
    device = batch.columns.device
    count = len(batch.lengths)
    lines = torch.arange(count, device=device).repeat_interleave(batch.lengths)
    known = batch.columns >= 0
    lines, columns = lines[known], batch.columns[known].clamp(max=frames - 1)
    classes = torch.zeros((count, frames), dtype=torch.int64, device=device)
    classes[lines, columns] = batch.targets[known]
    # Few steps show a character: unweighted, "always blank" would be a good answer.
    weights = torch.zeros((count, frames), device=device)
    inside = torch.arange(frames, device=device) < batch.steps[:, None]
    weights[lines] = inside[lines] * _BLANK_WEIGHT
    weights[lines, columns] = 1.0
    return classes, weights
