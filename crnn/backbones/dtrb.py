"""VGG or ResNet features and two BiLSTMs, as deep-text-recognition-benchmark and EasyOCR have.

Baek et al. 2019 (arXiv 1904.01906, supplement A) compare them under the names
None-VGG-BiLSTM-CTC and None-ResNet-BiLSTM-CTC; EasyOCR's custom readers are the same
networks in other sizes. `DtrbVgg` and `DtrbResNet` have the benchmark's sizes, and
``dtrb_vgg-256-256`` is the VGG family with 256 channels and LSTMs of 256.
"""

from collections import OrderedDict
from typing import ClassVar

from torch import Tensor, nn

from crnn.backbones._base import POOL, Backbone, Window

_NARROW_POOL = Window(kernel=2, stride=1, padding=1)
_LAST_CONV = Window(kernel=2, stride=1)


class BiLstms(Backbone):
    """Features, the mean over the height, two bidirectional LSTMs: every step sees the line.

    Attributes:
        channels: of the last convolution.
        hidden: size of each LSTM in one direction.
    """

    channels: ClassVar[int] = 512
    hidden: ClassVar[int] = 256
    color = "gray"
    mean = (0.5,)
    std = (0.5,)
    width = None

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.layers = self._convolutions()
        hidden = self.hidden
        self.lstm1 = nn.LSTM(self.channels, hidden, bidirectional=True, batch_first=True)
        self.linear1 = nn.Linear(2 * hidden, hidden)
        self.lstm2 = nn.LSTM(hidden, hidden, bidirectional=True, batch_first=True)
        self.linear2 = nn.Linear(2 * hidden, hidden)

    def _convolutions(self) -> nn.Sequential:
        raise NotImplementedError

    def initialise(self) -> None:
        """As every backbone; the linear layers keep the spread of what they take."""
        super().initialise()
        for layer in (self.linear1, self.linear2):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def sequence(self, columns: Tensor) -> Tensor:
        """(N, T, `channels`) -> (N, T, `hidden`), both ways along T."""
        first, _ = self.lstm1(columns)
        second, _ = self.lstm2(self.linear1(first))
        out: Tensor = self.linear2(second)
        return out


class DtrbVgg(BiLstms):
    """Seven convolutions: time stride 4."""

    out_features = 256
    rows = (POOL, POOL, POOL, POOL, _LAST_CONV)
    columns = (POOL, POOL, _LAST_CONV)

    def _convolutions(self) -> nn.Sequential:
        widths = [self.channels // 8, self.channels // 4, self.channels // 2, self.channels]
        layers: OrderedDict[str, nn.Module] = OrderedDict()

        def add(index: int, before: int, width: int, *, norm: bool = False) -> None:
            last = index == 6
            kernel, padding = (2, 0) if last else (3, 1)
            layers[f"conv{index}"] = nn.Conv2d(
                before, width, kernel, padding=padding, bias=not norm
            )
            if norm:
                layers[f"norm{index}"] = nn.BatchNorm2d(width)
            layers[f"relu{index}"] = nn.ReLU(inplace=True)

        add(0, self.in_channels, widths[0])
        layers["pool0"] = nn.MaxPool2d(2)
        add(1, widths[0], widths[1])
        layers["pool1"] = nn.MaxPool2d(2)
        add(2, widths[1], widths[2])
        add(3, widths[2], widths[2])
        layers["pool3"] = nn.MaxPool2d((2, 1))
        add(4, widths[2], widths[3], norm=True)
        add(5, widths[3], widths[3], norm=True)
        layers["pool5"] = nn.MaxPool2d((2, 1))
        add(6, widths[3], widths[3])
        return nn.Sequential(layers)


class _BasicBlock(nn.Module):
    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu(branch + self.downsample(x))
        return out


class DtrbResNet(BiLstms):
    """Eleven blocks of two convolutions and nine further ones: time stride 4."""

    out_features = 256
    rows = (POOL, POOL, POOL, POOL, _LAST_CONV)
    columns = (POOL, POOL, _NARROW_POOL, _NARROW_POOL, _LAST_CONV)

    def _convolutions(self) -> nn.Sequential:
        last = self.channels
        layers: OrderedDict[str, nn.Module] = OrderedDict()

        def add(
            name: str, before: int, width: int, *, stride: tuple[int, int] = (1, 1),
            kernel: int = 3, padding: tuple[int, int] = (1, 1),
        ) -> None:  # fmt: skip
            layers[f"conv{name}"] = nn.Conv2d(before, width, kernel, stride, padding, bias=False)
            layers[f"bn{name}"] = nn.BatchNorm2d(width)
            layers[f"relu{name}"] = nn.ReLU(inplace=True)

        add("0_1", self.in_channels, last // 16)
        add("0_2", last // 16, last // 8)
        layers["pool1"] = nn.MaxPool2d(2)
        before = last // 8
        for group, (width, depth) in enumerate(((last // 4, 1), (last // 2, 2), (last, 5)), 1):
            layers[f"layer{group}"] = _group(before, width, depth)
            add(str(group), width, width)
            if group == 1:
                layers["pool2"] = nn.MaxPool2d(2)
            elif group == 2:
                layers["pool3"] = nn.MaxPool2d(2, stride=(2, 1), padding=(0, 1))
            before = width
        layers["layer4"] = _group(last, last, 3)
        add("4_1", last, last, kernel=2, stride=(2, 1), padding=(0, 1))
        add("4_2", last, last, kernel=2, padding=(0, 0))
        return nn.Sequential(layers)


def _group(before: int, width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(
        _BasicBlock(before, width), *(_BasicBlock(width, width) for _ in range(depth - 1))
    )


def sized(family: type[BiLstms], channels: int, hidden: int) -> type[BiLstms]:
    """A family in other sizes.

    Args:
        family: `DtrbVgg` or `DtrbResNet`.
        channels: of the last convolution; a multiple of 16.
        hidden: size of each LSTM in one direction.
    """
    sizes = {"channels": channels, "hidden": hidden, "out_features": hidden}
    name = f"{family.__name__}_{channels}_{hidden}"
    # `columns` again: a class that states its windows computes its geometry from them.
    return type(name, (family,), {**sizes, "columns": family.columns, "__doc__": family.__doc__})
