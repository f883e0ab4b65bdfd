"""A layer that somebody else's file holds."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["convolution", "linear", "norm", "scale"]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """One layer with its tensors under PyTorch's names and in PyTorch's layout.

    Attributes:
        kind: ``scale`` is a factor and an offset per channel, as a layer norm ends with.
        name: what the file calls it, for messages.
        tensors: ``weight``, ``bias``, ``running_mean``, ``running_var``; a bias that the
            layer does not have is missing.
    """

    kind: Kind
    name: str
    tensors: dict[str, Array]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its weight."""
        return self.tensors["weight"].shape

    def __str__(self) -> str:
        return f"the {self.kind} {self.name!r} of {self.shape}"
