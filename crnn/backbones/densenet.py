"""DenseNet-BC of growth 12 (arXiv 1608.06993) with a stem that keeps the resolution."""

from typing import ClassVar

from torch import nn
from torchvision.models.densenet import _DenseBlock, _Transition

from crnn.backbones._base import POOL, Backbone

_GROWTH = 12
_BOTTLENECK = 4  # width of a 1 x 1 convolution, in multiples of the growth
_STEM = 24


class _DenseNet(Backbone):
    blocks: ClassVar[tuple[int, ...]]

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        layers: list[nn.Module] = [nn.Conv2d(in_channels, _STEM, 3, padding=1, bias=False)]
        width = _STEM
        for index, depth in enumerate(self.blocks):
            if index:
                layers.append(_Transition(width, width // 2))
                width //= 2
            layers.append(
                _DenseBlock(depth, width, bn_size=_BOTTLENECK, growth_rate=_GROWTH, drop_rate=0.0)
            )
            width += depth * _GROWTH
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)


class DenseNetCifar(_DenseNet):
    """Three blocks of 16: time stride 4."""

    blocks = (16, 16, 16)
    out_features = 342
    rows = columns = (POOL, POOL)


class DenseNet121(_DenseNet):
    """Blocks of 6, 12, 24 and 16: time stride 8."""

    blocks = (6, 12, 24, 16)
    out_features = 384
    rows = columns = (POOL, POOL, POOL)
