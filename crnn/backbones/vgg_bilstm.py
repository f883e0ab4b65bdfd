"""The paper's CRNN: VGG convolutions, two bidirectional LSTMs (arXiv 1507.05717, table 1)."""

from collections import OrderedDict

from torch import Tensor, nn

from crnn.backbones._base import POOL, Backbone, Window

_HIDDEN = 256
# Channels, batch norm, pooling after it: in both directions, or along the height only.
_CONVS = (
    (64, False, "both"),
    (128, False, "both"),
    (256, True, None),
    (256, False, "height"),
    (512, True, None),
    (512, False, "height"),
    (512, True, None),
)
_NARROW_POOL = Window(kernel=2, stride=1, padding=1)
_LAST_CONV = Window(kernel=2, stride=1)


class VggBiLstm(Backbone):
    """Time stride 4; every step sees the whole line."""

    out_features = 2 * _HIDDEN
    rows = (POOL, POOL, POOL, POOL, _LAST_CONV)
    columns = (POOL, POOL, _NARROW_POOL, _NARROW_POOL, _LAST_CONV)
    color = "gray"
    mean = (0.5,)
    std = (0.5,)
    width = None

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = in_channels
        for index, (channels, norm, pool) in enumerate(_CONVS):
            last = index == len(_CONVS) - 1
            layers[f"conv{index}"] = nn.Conv2d(
                width, channels, 2 if last else 3, padding=0 if last else 1
            )
            if norm:
                layers[f"norm{index}"] = nn.BatchNorm2d(channels)
            layers[f"relu{index}"] = nn.ReLU(inplace=True)
            if pool == "both":
                layers[f"pool{index}"] = nn.MaxPool2d(2)
            elif pool == "height":
                layers[f"pool{index}"] = nn.MaxPool2d(2, stride=(2, 1), padding=(0, 1))
            width = channels
        self.layers = nn.Sequential(layers)
        self.lstm1 = nn.LSTM(width, _HIDDEN, bidirectional=True, batch_first=True)
        self.between = nn.Linear(2 * _HIDDEN, _HIDDEN)
        self.lstm2 = nn.LSTM(_HIDDEN, _HIDDEN, bidirectional=True, batch_first=True)

    def sequence(self, columns: Tensor) -> Tensor:
        """(N, T, 512) -> (N, T, 512), both ways along T."""
        first, _ = self.lstm1(columns)
        second: Tensor
        second, _ = self.lstm2(self.between(first))
        return second
