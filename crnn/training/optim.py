"""Optimisers, learning-rate schedules and the average of the weights."""

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn, optim

from crnn.training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> optim.Optimizer:
    """The optimiser of a run; biases and norms are not decayed."""
    decay = config.weight_decay
    if decay is None:
        decay = 0.01 if config.optimizer == "adamw" else 0.0
    parameters = list(model.parameters())
    groups: list[dict[str, object]] = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    # Fused: one call for all tensors, a quarter of the time of a loop over them on a CPU.
    match config.optimizer:
        case "sgd":
            return optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
        case "rmsprop":
            return optim.RMSprop(groups, lr=config.lr, momentum=config.momentum)
        case "adam":
            return optim.Adam(groups, lr=config.lr, fused=True)
        case "adamw":
            return optim.AdamW(groups, lr=config.lr, fused=True)


def learning_rate(config: TrainConfig, progress: float, epochs: float) -> float:
    """The learning rate at a point of the run, a function of nothing else.

    Args:
        config: of the run.
        progress: 0 at its start, 1 at its end.
        epochs: epochs done, with the fraction.
    """
    progress = min(1.0, progress)
    if progress < config.warmup:
        # Half a cosine up (arXiv 1708.07120 raises linearly; the gentle start helps CTC).
        rise = 0.5 - 0.5 * math.cos(math.pi * progress / config.warmup)
        return config.lr * (0.04 + 0.96 * rise)
    fall = 0.5 + 0.5 * math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup))
    match config.schedule:
        case "one-cycle":
            return config.lr * (1e-4 + (1 - 1e-4) * fall)
        case "cosine":
            return config.lr * (0.02 + 0.98 * fall)
        case "exponential":
            return config.lr * math.pow(config.lr_decay, epochs)
        case "constant":
            return config.lr


class Ema:
    """Exponential moving average of a model's weights, for validation and for shipping.

    The decay grows from 0 as (1 + n) / (10 + n), so that the random start is
    forgotten. Buffers (the norms' statistics) are copied, being averages already.

    Args:
        model: what is averaged.
        decay: per step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, steps: int) -> None:
        """Take the weights after step number ``steps`` into the average."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        mine: list[Tensor] = list(self.model.parameters())
        theirs: list[Tensor] = list(model.parameters())
        # One fused call instead of one per tensor: the loop's overhead counts.
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(other)


def gradient_norm(parameters: Iterable[nn.Parameter], clip: float) -> Tensor:
    """Norm of the whole gradient, which is scaled down to ``clip`` if that is positive."""
    return nn.utils.clip_grad_norm_(parameters, clip if clip > 0 else math.inf)
