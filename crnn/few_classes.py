"""Log-probabilities of a few of many classes, without those of all the others.

A loss asks for the classes that a line's text names: some twenty of thousands. Scores of
all classes are made twice, for a few time steps at a time, and never stored: at 5,990
classes, writing and reading them took an eighth of a training step of `lite`
(benchmarks/NOTES.md), more where memory is not kept, and CTC's gradient over them one
thread. Losses fused with their linear layer do the same for cross-entropy (Hsu et al. 2024,
Liger Kernel: FusedLinearCrossEntropy).
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK = 1_000_000
"""Scores at a time: 4 MB in float32, which a processor's cache holds for the most part."""
_CHUNK_GPU = 200_000_000
_LEAST = 1e-6
"""Probability of the rest at least: what is left of 1 in float32 is no more exact."""
NOTHING = -1e4
"""Log-probability of no class; finite, for CTC's gradient subtracts it from itself."""

Function = TypeVar("Function", bound=Callable[..., Any])


def uncompiled(function: Function) -> Function:
    """Leave a function to PyTorch where ``torch.compile`` compiles what calls it.

    For what is small and depends on values: every other value would be compiled anew.
    """
    return cast(Function, torch.compiler.disable(function))  # type: ignore[no-untyped-call]


def with_rest(log_probs: Tensor) -> Tensor:
    """(N, T, K) of distinct classes -> (N, T, K + 1): at last what is left for all others.

    The rest is `_LEAST` at least, and its gradient passes all the same: a reader that is sure
    must still be able to learn that it is wrong.
    """
    left = 1.0 - log_probs.exp().sum(-1, keepdim=True)
    left = left + (left.clamp(min=_LEAST) - left).detach()
    return torch.cat([log_probs, left.log()], dim=-1)


@uncompiled  # as many parts as fit a cache, each by a library's product
def few_log_probs(columns: Tensor, classifier: nn.Linear, classes: Tensor) -> Tensor:
    """Log-probabilities of some classes, of each line or of each time step.

    Args:
        columns: (N, T, F), of the classifier's input.
        classifier: F to C scores.
        classes: (N, K) or (N, T, K) int64; -1 where there are fewer.

    Returns:
        (N, T, K) float32; where ``classes`` is -1, `NOTHING`.
    """
    device = columns.device.type
    weight, bias = classifier.weight, classifier.bias
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    if classes.dim() == 2:
        classes = classes[:, None, :].expand(-1, columns.shape[1], -1)
    with torch.autocast(device, enabled=False):
        found: Tensor = _FewLogProbs.apply(
            columns.to(dtype), weight.to(dtype), bias.to(dtype), classes
        )
    return found


@torch.no_grad()
def top_log_probs(
    columns: Tensor, classifier: nn.Linear, allowed: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """The likeliest of some classes at each time step, and their log-probabilities.

    Args:
        columns: (N, T, F), of the classifier's input.
        classifier: F to C scores.
        allowed: (C,) bool, the classes to choose from.
        count: how many.

    Returns:
        (N, T, count) int64 and (N, T, count) float32; both sorted, the likeliest first.
    """
    classes, log_probs = [], []
    for part in _parts(columns, classifier.weight):
        scores = classifier(columns[part]).float()
        best, which = scores.masked_fill(~allowed, -torch.inf).topk(count, dim=-1)
        classes.append(which)
        log_probs.append(best - scores.logsumexp(-1, keepdim=True))
    return torch.cat(classes), torch.cat(log_probs)


class _FewLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch's own)
        columns: Tensor,
        weight: Tensor,
        bias: Tensor,
        classes: Tensor,
    ) -> Tensor:
        absent, wanted = classes < 0, classes.clamp(min=0)
        log_probs = columns.new_empty(classes.shape, dtype=torch.float32)
        norms = columns.new_empty((*classes.shape[:2], 1), dtype=torch.float32)
        for part in _parts(columns, weight):
            scores = F.linear(columns[part], weight, bias).float()  # (n, T, C)
            norms[part] = scores.logsumexp(-1, keepdim=True)
            log_probs[part] = scores.gather(2, wanted[part])
        log_probs -= norms
        log_probs.masked_fill_(absent, NOTHING)
        ctx.save_for_backward(columns, weight, bias, classes, norms)
        return log_probs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        columns, weight, bias, classes, norms = ctx.saved_tensors
        own = gradients[0].masked_fill(classes < 0, 0.0)
        common = -own.sum(-1, keepdim=True)  # times p_c: what every class gets
        wanted = classes.clamp(min=0)
        to_columns = torch.empty_like(columns)
        to_weight = torch.zeros_like(weight, dtype=torch.float32)
        to_bias = torch.zeros_like(bias, dtype=torch.float32)
        for part in _parts(columns, weight):
            scores = F.linear(columns[part], weight, bias).float()
            scores.sub_(norms[part]).exp_().mul_(common[part])
            scores.scatter_add_(2, wanted[part], own[part])
            to_bias += scores.sum((0, 1))
            scores = scores.to(weight.dtype)
            to_columns[part] = scores @ weight
            to_weight += scores.flatten(0, 1).T @ columns[part].flatten(0, 1)
        return to_columns, to_weight.to(weight.dtype), to_bias.to(bias.dtype), None


def _parts(columns: Tensor, weight: Tensor) -> list[slice]:
    """Lines of which the scores are made at once."""
    lines, frames, _ = columns.shape
    most = CHUNK if columns.device.type == "cpu" else _CHUNK_GPU
    count = max(1, most // (frames * weight.shape[0]))
    return [slice(first, first + count) for first in range(0, lines, count)]
