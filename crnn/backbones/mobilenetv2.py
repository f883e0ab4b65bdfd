"""MobileNetV2 (arXiv 1801.04381, table 2) whose first two strides are 1."""

from collections import OrderedDict

from torch import nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops import Conv2dNormActivation

from crnn.backbones._base import CONV, Backbone

# Expansion, channels, blocks, stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2Cifar(Backbone):
    """Seven stages of inverted residuals: time stride 8."""

    out_features = 1280
    rows = columns = (CONV, CONV, CONV)

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["stem"] = Conv2dNormActivation(in_channels, 32, 3, activation_layer=nn.ReLU6)
        width = 32
        for index, (expansion, channels, depth, stride) in enumerate(_STAGES):
            stage = nn.Sequential()
            for block in range(depth):
                stage.append(InvertedResidual(width, channels, 1 if block else stride, expansion))
                width = channels
            layers[f"stage{index}"] = stage
        layers["head"] = Conv2dNormActivation(
            width, self.out_features, 1, activation_layer=nn.ReLU6
        )
        self.layers = nn.Sequential(layers)
