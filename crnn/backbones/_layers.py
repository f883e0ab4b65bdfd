"""Building blocks that several families of networks share."""

import torch
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """A convolution and its batch norm; odd kernels keep the length at stride 1."""

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
            padding=((height - 1) // 2, (width - 1) // 2), groups=groups, bias=False,
        )  # fmt: skip
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        maps: Tensor = self.norm(self.conv(x))
        return maps


class Affine(nn.Module):
    """One factor and one offset for a whole map."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return self.weight * x + self.bias


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


@torch.no_grad()
def start_near_identity(convolution: nn.Conv2d) -> None:
    """Make a fresh depthwise convolution of an odd kernel pass on its input, nearly.

    Where no residual leads around such layers, random kernels, one after the other, blur
    the columns before any is learnt.
    """
    height, width = convolution.weight.shape[2:]
    convolution.weight *= 0.5
    convolution.weight[:, :, height // 2, width // 2] += 1
