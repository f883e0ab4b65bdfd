"""The recognisers of PP-OCRv6 (PaddlePaddle, Apache-2.0), as their published files compute."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crnn.backbones._base import CONV, PAIR, POOL, Backbone
from crnn.backbones._layers import ConvNorm, SqueezeExcitation, start_near_identity
from crnn.backbones._svtr import SVTRBlock


class _Block(nn.Module):
    """A depthwise convolution, then a two-layer perceptron per pixel.

    The perceptron is a residual, except in a block that halves the height and
    changes the width.
    """

    def __init__(self, in_channels: int, channels: int, *, halve: bool, excite: bool) -> None:
        super().__init__()
        stride = (2, 1) if halve else 1
        self.residual = not halve
        self.depthwise = ConvNorm(in_channels, in_channels, 3, stride, groups=in_channels)
        self.excite = SqueezeExcitation(in_channels) if excite else nn.Identity()
        self.expand = ConvNorm(in_channels, 2 * in_channels, 1)
        self.gelu = nn.GELU()
        self.project = ConvNorm(2 * in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.excite(self.depthwise(x))
        branch: Tensor = self.project(self.gelu(self.expand(x)))
        return x + branch if self.residual else branch


class _PPOCRv6(Backbone):
    """Stages at a half of the height each, with a perceptron per pixel in every block.

    Attributes:
        stages: for each, its channels and per block whether channels are excited.
    """

    color = "bgr"
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    width = None
    height = 48
    stages: ClassVar[tuple[tuple[int, tuple[bool, ...]], ...]]

    @classmethod
    def blocks(cls) -> list[nn.Module]:
        """The stages' blocks, one after the other."""
        blocks: list[nn.Module] = []
        before: int | None = None
        for channels, excited in cls.stages:
            if before is not None:
                blocks.append(_Block(before, channels, halve=True, excite=False))
            blocks.extend(
                _Block(channels, channels, halve=False, excite=excite) for excite in excited
            )
            before = channels
        return blocks

    def initialise(self) -> None:
        """As every backbone, but depthwise convolutions begin near the identity."""
        super().initialise()
        for block in self.modules():
            if isinstance(block, _Block):
                start_near_identity(block.depthwise.conv)


class PPOCRv6Tiny(_PPOCRv6):
    """The smallest, of convolutions alone: time stride 8."""

    out_features = 80
    rows = (CONV, CONV, CONV, CONV)
    columns = (CONV, CONV, POOL)
    stages = ((48, (True, False)), (96, (True, False)), (160, (True, False, False)))

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        first, last = self.stages[0][0], self.stages[-1][0]
        self.layers = nn.Sequential(
            ConvNorm(in_channels, first // 2, 3, 2),
            nn.GELU(),
            ConvNorm(first // 2, first, 3, 2),
            *self.blocks(),
            nn.AvgPool2d((1, 2)),
        )
        self.neck = nn.Sequential(
            ConvNorm(last, last, (1, 5), groups=last),
            nn.Hardswish(inplace=True),
            ConvNorm(last, last, 1),
            nn.Hardswish(inplace=True),
        )
        self.reduce = nn.Linear(last, self.out_features)

    def sequence(self, columns: Tensor) -> Tensor:
        """(N, T, 160) -> (N, T, 80): every step sees the two on either side."""
        maps = self.neck(columns.transpose(1, 2).unsqueeze(2)).squeeze(2)
        reduced: Tensor = self.reduce(maps.transpose(1, 2))
        return reduced


class _Stem(nn.Module):
    """A quarter of the resolution, along two ways: a maximum, and two convolutions."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter = ConvNorm(in_channels, half, 3, 2)
        self.narrow = ConvNorm(half, half // 2, 2)
        self.widen = ConvNorm(half // 2, half, 2)
        self.join = ConvNorm(channels, half, 3, 2)
        self.leave = ConvNorm(half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.enter(x))
        # Kernels of 2 are padded behind the last row and column alone.
        padded = F.pad(x, (0, 1, 0, 1))
        branch = F.pad(F.relu(self.narrow(padded)), (0, 1, 0, 1))
        branch = F.relu(self.widen(branch))
        x = torch.cat([F.max_pool2d(padded, 2, 1), branch], dim=1)
        return F.relu(self.leave(F.relu(self.join(x))))


class PPOCRv6Small(_PPOCRv6):
    """Wider, and every step sees the whole line: time stride 8."""

    out_features = 120
    rows = (CONV, PAIR, PAIR, CONV, CONV, CONV)
    columns = (CONV, PAIR, PAIR, CONV, POOL)
    stages = ((96, (True, False, False)), (192, (True, False) * 3), (384, (True, False)))

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        last, width = self.stages[-1][0], self.out_features
        self.layers = nn.Sequential(
            _Stem(in_channels, self.stages[0][0]), *self.blocks(), nn.AvgPool2d((1, 2))
        )
        self.skip = ConvNorm(last, width, 1)
        self.enter = ConvNorm(last, width, 1)
        self.near = ConvNorm(width, width, (1, 7), groups=width)
        self.mix = nn.Sequential(SVTRBlock(width), SVTRBlock(width), nn.LayerNorm(width, eps=1e-6))

    def sequence(self, columns: Tensor) -> Tensor:
        """(N, T, 384) -> (N, T, 120), by neighbours and by attention."""
        maps = columns.transpose(1, 2).unsqueeze(2)
        skipped = F.silu(self.skip(maps))
        maps = F.silu(self.enter(maps))
        maps = maps + F.silu(self.near(maps))
        mixed: Tensor = self.mix(maps.squeeze(2).transpose(1, 2))
        return mixed + skipped.squeeze(2).transpose(1, 2)
