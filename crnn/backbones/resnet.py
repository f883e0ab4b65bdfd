"""Pre-activation ResNet-18 (arXiv 1603.05027) with a stem that keeps the resolution."""

import torch.nn.functional as F
from torch import Tensor, nn

from crnn.backbones._base import CONV, Backbone


class _PreActBlock(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            self.shortcut.append(nn.Conv2d(in_channels, channels, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        # A projection starts from the activated input, the identity from the raw one.
        skip: Tensor = self.shortcut(active) if len(self.shortcut) else x
        branch: Tensor = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return branch + skip


class ResNetCifar(Backbone):
    """Four stages of two blocks; like the original, it ends without a norm: time stride 8."""

    out_features = 512
    rows = columns = (CONV, CONV, CONV)

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.layers = nn.Sequential(nn.Conv2d(in_channels, 64, 3, padding=1, bias=False))
        width = 64
        for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            self.layers.append(
                nn.Sequential(
                    _PreActBlock(width, channels, stride), _PreActBlock(channels, channels, 1)
                )
            )
            width = channels
