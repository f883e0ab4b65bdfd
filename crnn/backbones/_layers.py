"""Building blocks that several families of networks share."""

from collections.abc import Container

import torch
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """A convolution that keeps the length (at stride 1) and its batch norm.

    Published files often hold the product of the two, a convolution with a bias
    (`fold`). Such a reader is trained on without the norm: a norm put back as the
    identity would take the statistics of a batch in place of those that were folded,
    and the reader would forget everything in its first step.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        self.conv = nn.Conv2d(
            in_channels, channels, (height, width), stride,
            padding=(height // 2, width // 2), groups=groups, bias=False,
        )  # fmt: skip
        self.norm: nn.Module = nn.BatchNorm2d(channels)

    @torch.no_grad()
    def fold(self) -> None:
        """Multiply the norm into the convolution; in evaluation the outputs stay the same."""
        norm = self.norm
        if not isinstance(norm, nn.BatchNorm2d):
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.conv.weight *= scale[:, None, None, None]
        self.conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        self.norm = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        maps: Tensor = self.norm(self.conv(x))
        return maps


def fold_norms(model: nn.Module, names: Container[str]) -> None:
    """Give a model the form of weights in which norms are folded, layer by layer.

    Args:
        model: with a norm behind each `ConvNorm`.
        names: of the tensors that it is to take.
    """
    for name, module in model.named_modules():
        if isinstance(module, ConvNorm) and f"{name}.conv.bias" in names:
            module.fold()


class SqueezeExcitation(nn.Module):
    """Weigh each channel by what the whole map holds (arXiv 1709.01507, with a hard sigmoid)."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // reduction, 1)
        self.expand = nn.Conv2d(channels // reduction, channels, 1)
        self.relu = nn.ReLU(inplace=True)
        self.gate = nn.Hardsigmoid(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        weights: Tensor = self.expand(self.relu(self.reduce(x.mean(dim=(2, 3), keepdim=True))))
        gates: Tensor = self.gate(weights)
        return x * gates
