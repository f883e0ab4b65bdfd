"""The CTC loss of a batch (Graves et al. 2006)."""

import torch.nn.functional as F
from torch import Tensor

from crnn.data.loader import Batch


def ctc_loss(log_probs: Tensor, batch: Batch) -> Tensor:
    """Mean over the lines of the loss per character, always in float32.

    Padded steps take no part. A line that cannot be aligned counts as zero
    instead of infinity; the pre-flight names such lines.

    Args:
        log_probs: (N, T, C).
        batch: on the same device.
    """
    frames = log_probs.shape[1]
    return F.ctc_loss(
        log_probs.float().transpose(0, 1),  # (T, N, C)
        batch.targets,
        batch.steps.clamp(max=frames),
        batch.lengths,
        zero_infinity=True,
    )
