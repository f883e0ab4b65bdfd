"""Building blocks that several families of networks share."""

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
