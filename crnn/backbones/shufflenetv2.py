"""ShuffleNetV2 1x (arXiv 1807.11164, table 5) whose stem keeps the resolution."""

from torch import nn
from torchvision.models.shufflenetv2 import InvertedResidual

from crnn.backbones._base import CONV, Backbone


class ShuffleNetV2Cifar(Backbone):
    """Three stages of 4, 8 and 4 blocks: time stride 8."""

    out_features = 1024
    rows = columns = (CONV, CONV, CONV)
    foreign_names = (
        (r"^features\.", "backbone.layers."),
        # Left branch of a block that halves the resolution.
        (r"\.conv1l\.", ".branch1.0."),
        (r"\.bn1l\.", ".branch1.1."),
        (r"\.conv2l\.", ".branch1.2."),
        (r"\.bn2l\.", ".branch1.3."),
        # Its right branch ("r"), and the only branch of the other blocks.
        (r"\.conv1r?\.", ".branch2.0."),
        (r"\.bn1r?\.", ".branch2.1."),
        (r"\.conv2r?\.", ".branch2.3."),
        (r"\.bn2r?\.", ".branch2.4."),
        (r"\.conv3r?\.", ".branch2.5."),
        (r"\.bn3r?\.", ".branch2.6."),
    )

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
