"""Heads of exported graphs: they compute the outputs inside the graph, so that little leaves the
device.
"""

import torch
from torch import Tensor, nn

from crnn import CRNN
from crnn_runtime.backends import OUTPUT_NAMES
from crnn_runtime.model.card import Head


class GreedyHead(nn.Module):
    """Best class and its probability per step: two (N, T) arrays instead of (N, T, C)."""

    def __init__(self, model: CRNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) → ids (N, T) int32, probs (N, T)."""
        logits = self.model.logits(images)
        best, ids = logits.max(dim=2)
        # softmax of the best class alone, without writing the other C - 1.
        probs = (logits - best.unsqueeze(2)).exp().sum(dim=2).reciprocal()
        return ids.to(torch.int32), probs


class TopKHead(nn.Module):
    """The k best classes per step, best first: what beam search needs."""

    def __init__(self, model: CRNN, k: int) -> None:
        super().__init__()
        self.model = model
        self.k = k

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) → ids (N, T, K) int32, log-probabilities (N, T, K)."""
        log_probs, ids = self.model(images).topk(self.k, dim=2)
        return ids.to(torch.int32), log_probs


class LogProbsHead(nn.Module):
    """Everything, for allow-lists and other consumers."""

    def __init__(self, model: CRNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(N, C, H, W) → log-probabilities (N, T, C)."""
        return (self.model(images),)


def add_head(model: CRNN, head: Head, k: int) -> nn.Module:
    """The model with the outputs that `OUTPUT_NAMES` lists for ``head``, in that order."""
    if head == "greedy":
        return GreedyHead(model)
    if head == "topk":
        return TopKHead(model, k)
    assert head in OUTPUT_NAMES
    return LogProbsHead(model)
