"""Log-probabilities of a few of many classes, without those of all the others.

A loss asks for the classes that a line's text names: some twenty of thousands. What the
others have goes into one sum. Scores of all classes are made twice, for a few time steps at
a time, and never stored: at 5,990 classes, writing and reading them took an eighth of a
training step of `lite` (benchmarks/NOTES.md), more where memory is not kept, and CTC's
gradient over them one thread. Losses fused with their linear layer do the same for
cross-entropy (Hsu et al. 2024, Liger Kernel: FusedLinearCrossEntropy).
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_CHUNK = 1_000_000
"""Scores at a time: 4 MB in float32, which a processor's cache holds for the most part."""
_CHUNK_GPU = 200_000_000
_TINY = 1e-30
_NOTHING = -1e4
"""Log-probability of no class; finite, for CTC's gradient subtracts it from itself."""

Function = TypeVar("Function", bound=Callable[..., Any])


def uncompiled(function: Function) -> Function:
    """Leave a function to PyTorch where ``torch.compile`` compiles what calls it.

    For what is small and depends on values: every other value would be compiled anew.
    """
    return cast(Function, torch.compiler.disable(function))  # type: ignore[no-untyped-call]


@uncompiled  # as many parts as fit a cache, each by a library's product
def few_log_probs(columns: Tensor, weight: Tensor, bias: Tensor, classes: Tensor) -> Tensor:
    """Log-probabilities of each line's own classes, and of all others together.

    Args:
        columns: (N, T, F), of the classifier's input.
        weight: (C, F), of the classifier.
        bias: (C,).
        classes: (N, K) int64, no class twice in a line; -1 where a line has fewer.

    Returns:
        (N, T, K + 1) float32; in the last place the logarithm of the probability that is
        left for other classes. Where ``classes`` is -1, `_NOTHING`.
    """
    device = columns.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    with torch.autocast(device, enabled=False):
        found: Tensor = _FewLogProbs.apply(
            columns.to(dtype), weight.to(dtype), bias.to(dtype), classes
        )
    return found


class _FewLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch's own)
        columns: Tensor,
        weight: Tensor,
        bias: Tensor,
        classes: Tensor,
    ) -> Tensor:
        lines, frames, _ = columns.shape
        log_probs = columns.new_empty((lines, frames, classes.shape[1] + 1), dtype=torch.float32)
        norms = columns.new_empty((lines, frames), dtype=torch.float32)
        absent = (classes < 0)[:, None, :]
        wanted = classes.clamp(min=0)[:, None, :]
        for part in _parts(columns, weight):
            scores = F.linear(columns[part], weight, bias).float()  # (n, T, C)
            norms[part] = scores.logsumexp(-1)
            some = scores.gather(2, wanted[part].expand(-1, frames, -1))
            log_probs[part, :, :-1] = some
        log_probs[:, :, :-1] -= norms[:, :, None]
        log_probs[:, :, :-1].masked_fill_(absent, _NOTHING)
        left = 1.0 - log_probs[:, :, :-1].exp().sum(-1)
        log_probs[:, :, -1] = left.clamp(min=_TINY).log()
        ctx.save_for_backward(columns, weight, bias, classes, norms, log_probs)
        return log_probs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        columns, weight, bias, classes, norms, log_probs = ctx.saved_tensors
        (gradient,) = gradients
        frames = columns.shape[1]
        probs = log_probs.exp()
        # Of the others' sum, by the probability of one of them: log p_left = log Σ p_c.
        others = gradient[:, :, -1] / probs[:, :, -1].clamp(min=_TINY)
        common = others - gradient.sum(-1)  # times p_c: what every class gets
        own = gradient[:, :, :-1] - others[:, :, None] * probs[:, :, :-1]
        own = own.masked_fill((classes < 0)[:, None, :], 0.0)
        wanted = classes.clamp(min=0)[:, None, :]
        to_columns = torch.empty_like(columns)
        to_weight = torch.zeros_like(weight, dtype=torch.float32)
        to_bias = torch.zeros_like(bias, dtype=torch.float32)
        for part in _parts(columns, weight):
            scores = F.linear(columns[part], weight, bias).float()
            scores.sub_(norms[part][:, :, None]).exp_().mul_(common[part][:, :, None])
            scores.scatter_add_(2, wanted[part].expand(-1, frames, -1), own[part])
            to_bias += scores.sum((0, 1))
            scores = scores.to(weight.dtype)
            to_columns[part] = scores @ weight
            to_weight += scores.flatten(0, 1).T @ columns[part].flatten(0, 1)
        return to_columns, to_weight.to(weight.dtype), to_bias.to(bias.dtype), None


def _parts(columns: Tensor, weight: Tensor) -> list[slice]:
    """Lines of which the scores are made at once."""
    lines, frames, _ = columns.shape
    most = _CHUNK if columns.device.type == "cpu" else _CHUNK_GPU
    count = max(1, most // (frames * weight.shape[0]))
    return [slice(first, first + count) for first in range(0, lines, count)]
