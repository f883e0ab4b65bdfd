"""The losses of a batch: CTC, and a teacher of alignment for its start."""

import torch
import torch.nn.functional as F
from torch import Tensor

from crnn.data.loader import Batch


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


def taught_loss(log_probs: Tensor, batch: Batch, teaching: float) -> Tensor:
    """CTC and the teacher of alignment, for the lines that know where their characters are.

    The others, such as photographs in a mix, have CTC alone, at its full weight.

    Args:
        log_probs: (N, T, C).
        batch: on the same device.
        teaching: weight of the teacher, 0 to 1.
    """
    lines = torch.arange(len(batch.lengths), device=log_probs.device)
    known = torch.zeros(len(lines), device=log_probs.device)
    known[lines.repeat_interleave(batch.lengths)[batch.columns >= 0]] = 1.0
    ctc = ctc_loss(log_probs, batch, 1 - teaching * known)
    return ctc + alignment_loss(log_probs, batch) * teaching * known.mean()


_BLANK_WEIGHT = 0.1


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
    count, frames, _ = log_probs.shape
    lines = torch.arange(count, device=log_probs.device).repeat_interleave(batch.lengths)
    known = batch.columns >= 0
    lines, columns = lines[known], batch.columns[known].clamp(max=frames - 1)
    classes = torch.zeros((count, frames), dtype=torch.int64, device=log_probs.device)
    classes[lines, columns] = batch.targets[known]
    # Few steps show a character: unweighted, "always blank" would be a good answer.
    weights = torch.zeros((count, frames), device=log_probs.device)
    inside = torch.arange(frames, device=log_probs.device) < batch.steps[:, None]
    weights[lines] = inside[lines] * _BLANK_WEIGHT
    weights[lines, columns] = 1.0
    losses = -log_probs.gather(2, classes[:, :, None])[:, :, 0] * weights
    return losses.sum() / weights.sum().clamp(min=1.0)
