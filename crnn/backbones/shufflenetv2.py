"""ShuffleNetV2 1x (arXiv 1807.11164, table 5) whose stem keeps the resolution."""

from torch import nn
from torchvision.models.shufflenetv2 import InvertedResidual

from crnn.backbones._base import CONV, Backbone


class ShuffleNetV2Cifar(Backbone):
    """Three stages of 4, 8 and 4 blocks: time stride 8."""

    out_features = 1024
    rows = columns = (CONV, CONV, CONV)

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 24, 3, padding=1, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(inplace=True),
        )
        width = 24
        for channels, depth in ((116, 4), (232, 8), (464, 4)):
            self.layers.append(
                nn.Sequential(
                    InvertedResidual(width, channels, 2),
                    *(InvertedResidual(channels, channels, 1) for _ in range(depth - 1)),
                )
            )
            width = channels
        # The paper has a ReLU here. The original lost it, so its weights expect none.
        self.layers.append(nn.Conv2d(width, self.out_features, 1, bias=False))
        self.layers.append(nn.BatchNorm2d(self.out_features))
