"""Facts, geometry and initialisation that every backbone has."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crnn_runtime.model.card import ColorOrder, ModelCard


@dataclass(frozen=True)
class Window:
    """A convolution or pooling that changes the length of an axis, in pixels of its input.

    Layers of stride 1 that keep the length (an odd kernel, padded by half of it)
    change no geometry and are not listed.

    Attributes:
        kernel: pixels that one output sees.
        stride: pixels from one output to the next.
        padding: pixels added on both sides.
        trailing: more pixels added behind the last.
    """

    kernel: int
    stride: int
    padding: int = 0
    trailing: int = 0

    def out(self, length: int) -> int:
        """Output length, 0 if the input is too short."""
        return max(0, (length + 2 * self.padding + self.trailing - self.kernel) // self.stride + 1)

    @property
    def shift(self) -> float:
        """Position in the input on which output 0 is centred."""
        return (self.kernel - 1) / 2 - self.padding


POOL = Window(kernel=2, stride=2)
CONV = Window(kernel=3, stride=2, padding=1)
PAIR = Window(kernel=2, stride=1, trailing=1)


def lengths(windows: tuple[Window, ...], length: int) -> list[int]:
    """The length of an axis after each of the windows."""
    result = []
    for window in windows:
        length = window.out(length) if length > 0 else 0
        result.append(length)
    return result


def _minimum(windows: tuple[Window, ...]) -> int:
    length = 1
    while not all(lengths(windows, length)):
        length += 1
    return length


class Backbone(nn.Module):
    """A line to feature columns: (N, C, H, W) -> (N, T, `out_features`).

    A subclass lists its `rows` and `columns`, fills `layers` (or overrides
    `features`), and names what differs from the defaults below, which are those
    of the original's five architectures. The geometry follows from the windows.

    Attributes:
        out_features: features per column.
        rows: the windows along the height.
        columns: the windows along the width.
        color: channels of a new reader's lines.
        mean: per channel, of pixels in 0..1.
        std: per channel, of pixels in 0..1.
        width: width in pixels that a new reader's lines are stretched to; None
            keeps the aspect ratio.
        height: height in pixels that a new reader's lines are scaled to.
        time_stride: pixels per time step.
        time_origin: pixel on which time step 0 is centred; pixel 0 is at 0.0.
        min_height: least height in pixels.
        min_width: least width in pixels.
    """

    out_features: ClassVar[int]
    rows: ClassVar[tuple[Window, ...]]
    columns: ClassVar[tuple[Window, ...]]
    color: ClassVar[ColorOrder] = ModelCard.color
    mean: ClassVar[tuple[float, ...]] = ModelCard.mean
    std: ClassVar[tuple[float, ...]] = ModelCard.std
    width: ClassVar[int | None] = 280
    height: ClassVar[int] = ModelCard.height

    time_stride: ClassVar[int]
    time_origin: ClassVar[float]
    min_height: ClassVar[int]
    min_width: ClassVar[int]

    layers: nn.Sequential

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "columns"):  # a family's common base
            return
        stride, origin = 1, 0.0
        for window in cls.columns:
            origin += window.shift * stride
            stride *= window.stride
        cls.time_stride, cls.time_origin = stride, origin
        cls.min_height, cls.min_width = _minimum(cls.rows), _minimum(cls.columns)

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels

    @classmethod
    def default_channels(cls) -> int:
        """Channels of a new reader's lines."""
        return 1 if cls.color == "gray" else 3

    @classmethod
    def time_steps(cls, width: int) -> int:
        """T for lines ``width`` pixels wide, 0 below `min_width`."""
        return lengths(cls.columns, width)[-1]

    @torch.no_grad()
    def initialise(self) -> None:
        """Set the weights for training from nothing; linear and recurrent layers keep torch's.

        Convolutions: He normal over the outputs (arXiv 1502.01852, section 2.2),
        counted per group, so that depthwise ones are not shrunk by their width.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                height, width = module.kernel_size
                fan_out = module.out_channels * height * width // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> Tensor:
        """The convolutional part: (N, C, H, W) -> (N, F, H', T)."""
        maps: Tensor = self.layers(x)
        return maps

    def sequence(self, columns: Tensor) -> Tensor:
        """Computes what follows the mean over the height: (N, T, F) -> (N, T, `out_features`)."""
        return columns

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, T, `out_features`), for any height and width above the least."""
        columns = self.features(x).mean(dim=2)  # (N, F, T)
        return self.sequence(columns.transpose(1, 2))
