"""The reader: a backbone and a classifier of its columns."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crnn.backbones import Backbone, backbone_class
from crnn.folding import fold_norms
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard


class CRNN(nn.Module):
    """A line to the log-probability of every class at every time step.

    Args:
        backbone: (N, C, H, W) -> (N, T, F).
        num_classes: the alphabet and the blank, which is class 0.
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.out_features, num_classes)
        self.backbone.initialise()
        # Small: the first predictions are even, so that CTC starts from no belief.
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    @property
    def num_classes(self) -> int:
        """Width of the classifier."""
        return self.classifier.out_features

    def columns(self, x: Tensor) -> Tensor:
        """Computes the classifier's input: (N, C, H, W) -> (N, T, F), F its input features.

        Raises:
            CrnnError: the lines have other channels than the model, or are too small.
        """
        # An exported graph has symbolic sizes, which a check would pin down.
        if not torch.compiler.is_compiling():
            self._check(x)
        columns: Tensor = self.backbone(x)
        return columns

    def logits(self, x: Tensor) -> Tensor:
        """Unnormalised scores: (N, C, H, W) -> (N, T, `num_classes`).

        Raises:
            CrnnError: see `columns`.
        """
        scores: Tensor = self.classifier(self.columns(x))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities in float32: (N, C, H, W) -> (N, T, `num_classes`).

        Raises:
            CrnnError: see `columns`.
        """
        return self.classified(self.columns(x))

    def classified(self, columns: Tensor) -> Tensor:
        """Log-probabilities of `columns`, in float32: (N, T, F) -> (N, T, `num_classes`)."""
        return F.log_softmax(self.classifier(columns).float(), dim=-1)

    def _check(self, x: Tensor) -> None:
        backbone = self.backbone
        if x.dim() != 4 or x.shape[1] != backbone.in_channels:
            raise CrnnError(
                f"lines of shape {tuple(x.shape)}: "
                f"this model reads (N, {backbone.in_channels}, H, W)"
            )
        height, width = x.shape[2:]
        if height < backbone.min_height or width < backbone.min_width:
            raise CrnnError(
                f"lines of {height} x {width} pixels (height x width) are too small: "
                f"this model needs at least {backbone.min_height} x {backbone.min_width}"
            )


def build_model(arch: str, num_classes: int, in_channels: int | None = None) -> CRNN:
    """A reader with fresh weights.

    Args:
        arch: a key of `BACKBONES`.
        num_classes: the alphabet and the blank.
        in_channels: 1 or 3; None takes the architecture's own.

    Raises:
        CrnnError: there is no such architecture, or fewer than two classes.
    """
    backbone = backbone_class(arch)
    if num_classes < 2:
        raise CrnnError(f"{num_classes} classes: a reader needs the blank and a character")
    channels = backbone.default_channels() if in_channels is None else in_channels
    return CRNN(backbone(channels), num_classes)


def load_weights(model: CRNN, state_dict: Mapping[str, Tensor]) -> None:
    """Put weights into a new model, which takes their form: norms folded or not."""
    fold_norms(model, state_dict)
    model.load_state_dict(state_dict)


def default_card(arch: str, alphabet: Alphabet, **overrides: Any) -> ModelCard:  # noqa: ANN401
    """The card of a new reader: the architecture's preprocessing and geometry.

    Higher lines are wider, too: the widest grows with the height.

    Args:
        arch: a key of `BACKBONES`.
        alphabet: its characters.
        overrides: any other field of `ModelCard`.

    Raises:
        CrnnError: there is no such architecture, or the fields do not fit together.
    """
    backbone = backbone_class(arch)
    fields: dict[str, Any] = {
        "height": backbone.height,
        "width": backbone.width,
        "color": backbone.color,
        "mean": backbone.mean,
        "std": backbone.std,
        "time_stride": backbone.time_stride,
        "time_origin": backbone.time_origin,
    }
    fields |= overrides
    fields.setdefault("max_width", ModelCard.max_width * fields["height"] // ModelCard.height)
    card = ModelCard(arch=arch, alphabet=alphabet, **fields)
    if card.height < backbone.min_height:
        raise CrnnError(
            f"height {card.height} is too small for {arch}: at least {backbone.min_height} pixels"
        )
    return card
