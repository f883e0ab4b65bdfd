"""This project's own: the fastest accurate reader on a CPU."""

from typing import NamedTuple

from torch import Tensor, nn

from crnn.backbones._base import CONV, Backbone

_STEM = 24


class _Stage(NamedTuple):
    """The layers after a halving of the height.

    Attributes:
        channels: of the stage.
        depth: residual blocks.
        stride: along the width, of the halving.
        kernel: (height, width) of the blocks.
        dense: the halving mixes channels and rows at once. Depthwise halvings keep what
            each channel knows of its rows apart, which is cheap where maps are large,
            and loses strokes where few rows are left.
    """

    channels: int
    depth: int
    stride: int
    kernel: tuple[int, int]
    dense: bool = False


_STAGES = (
    _Stage(48, 2, 2, (5, 5)),
    _Stage(80, 2, 1, (5, 5)),
    _Stage(128, 2, 1, (3, 5), dense=True),
    _Stage(256, 1, 1, (1, 7), dense=True),
)


class _Block(nn.Module):
    """A wide depthwise convolution, then a two-layer perceptron per pixel, as a residual."""

    def __init__(self, channels: int, kernel: tuple[int, int], expansion: int = 2) -> None:
        super().__init__()
        hidden = channels * expansion
        pad = (kernel[0] // 2, kernel[1] // 2)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, kernel, padding=pad, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.norm(self.layers(x))
        return x + branch


def _halve(in_channels: int, stage: _Stage) -> nn.Sequential:
    """Half the height: (N, C, H, W) -> (N, C', ceil(H / 2), ceil(W / stride))."""
    channels, stride = stage.channels, (2, stage.stride)
    if stage.dense:
        return nn.Sequential(
            nn.Conv2d(in_channels, channels, (3, 1), stride, padding=(1, 0), bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.Conv2d(in_channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class Lite(Backbone):
    """Depthwise-separable residuals, five halvings of the height: time stride 4.

    Only convolutions, ReLU and additions, which every inference library fuses;
    the narrow last layer keeps a classifier of thousands of characters cheap. Designs
    that were tried against it are in benchmarks/NOTES.md.
    """

    out_features = 96
    rows = (CONV, CONV, CONV, CONV, CONV)
    columns = (CONV, CONV)
    color = "gray"
    mean = (0.5,)
    std = (0.5,)
    width = None

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, _STEM, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(_STEM),
            nn.ReLU(inplace=True),
        )
        width = _STEM
        for stage in _STAGES:
            self.layers.append(_halve(width, stage))
            self.layers.extend(_Block(stage.channels, stage.kernel) for _ in range(stage.depth))
            width = stage.channels
        self.layers.append(nn.Conv2d(width, self.out_features, 1, bias=False))
        self.layers.append(nn.BatchNorm2d(self.out_features))

    def initialise(self) -> None:
        """As every backbone, with blocks that start as the identity (arXiv 1706.02677, 5.1).

        Wide random kernels would blur the columns before any is learnt: digit
        lines after 8,000 examples, 87 % right with this and 20 % without.
        """
        super().initialise()
        for block in self.modules():
            if isinstance(block, _Block):
                nn.init.zeros_(block.norm.weight)
