"""The mobile recogniser of PP-OCRv4 and PP-OCRv5 (PaddlePaddle, Apache-2.0): one network.

PP-LCNetV3 in the form in which its parallel branches are one convolution each, and
a neck of self-attention.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crnn.backbones._base import CONV, POOL, Backbone
from crnn.backbones._layers import Affine, ConvNorm, SqueezeExcitation, start_near_identity
from crnn.backbones._svtr import SVTRBlock

_STEM = 16


class _Spec(NamedTuple):
    """A block: kernel and stride of its depthwise convolution, channels of its output."""

    kernel: int
    channels: int
    stride: tuple[int, int] = (1, 1)
    excite: bool = False


_BLOCKS = (
    _Spec(3, 32),
    _Spec(3, 64),
    _Spec(3, 64),
    _Spec(3, 128, (2, 1)),
    _Spec(3, 128),
    _Spec(3, 240, (1, 2)),
    *(_Spec(5, 240),) * 4,
    _Spec(5, 480, (2, 1), excite=True),
    _Spec(5, 480, excite=True),
    _Spec(5, 480, (2, 1)),
    _Spec(5, 480),
)


class _Active(nn.Module):
    """A convolution and its activation, each scaled and shifted by two learnt numbers."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, stride: tuple[int, int], groups: int
    ) -> None:
        super().__init__()
        self.convolve = ConvNorm(in_channels, channels, kernel, stride, groups)
        self.before = Affine()
        self.after = Affine()

    def forward(self, x: Tensor) -> Tensor:
        active: Tensor = self.after(F.hardswish(self.before(self.convolve(x))))
        return active


class _Block(nn.Module):
    """A depthwise and a pointwise convolution: (N, F, H, W) -> (N, F', H', W')."""

    def __init__(self, in_channels: int, spec: _Spec) -> None:
        super().__init__()
        self.depthwise = _Active(
            in_channels, in_channels, spec.kernel, spec.stride, groups=in_channels
        )
        self.excite = SqueezeExcitation(in_channels) if spec.excite else nn.Identity()
        self.pointwise = _Active(in_channels, spec.channels, 1, (1, 1), groups=1)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.pointwise(self.excite(self.depthwise(x)))
        return mixed


class _Neck(nn.Module):
    """Neighbours, then attention, then both with what came in: (N, F, 1, T) -> (N, F', 1, T)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.narrow = ConvNorm(in_channels, half, (1, 3))
        self.enter = ConvNorm(half, channels, 1)
        self.mix = nn.Sequential(
            SVTRBlock(channels), SVTRBlock(channels), nn.LayerNorm(channels, eps=1e-6)
        )
        self.widen = ConvNorm(channels, in_channels, 1)
        self.join = ConvNorm(2 * in_channels, half, (1, 3))
        self.leave = ConvNorm(half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = F.silu(self.enter(F.silu(self.narrow(x))))
        mixed = self.mix(maps.squeeze(2).transpose(1, 2)).transpose(1, 2).unsqueeze(2)
        both = torch.cat([x, F.silu(self.widen(mixed))], dim=1)
        return F.silu(self.leave(F.silu(self.join(both))))


class PPLCNetV3(Backbone):
    """Fourteen depthwise-separable blocks; every step sees the whole line: time stride 8."""

    out_features = 120
    rows = (CONV, CONV, CONV, CONV)
    columns = (CONV, CONV, POOL)
    color = "bgr"
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    width = None
    height = 48

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.layers = nn.Sequential(ConvNorm(in_channels, _STEM, 3, 2))
        channels = _STEM
        for spec in _BLOCKS:
            self.layers.append(_Block(channels, spec))
            channels = spec.channels
        self.layers.append(nn.AvgPool2d((1, 2)))
        self.neck = _Neck(channels, self.out_features)

    def initialise(self) -> None:
        """As every backbone, but depthwise convolutions begin near the identity."""
        super().initialise()
        for block in self.layers:
            if isinstance(block, _Block):
                start_near_identity(block.depthwise.convolve.conv)

    def sequence(self, columns: Tensor) -> Tensor:
        """(N, T, 480) -> (N, T, 120), by neighbours and by attention."""
        maps: Tensor = self.neck(columns.transpose(1, 2).unsqueeze(2))
        return maps.squeeze(2).transpose(1, 2)
