"""Checkpoints, and this project's own format of them.

A file of ours is a dictionary with the original's keys (``arch``, ``epoch``,
``state_dict``, ``best_accuracy``, ``optimizer``), the model card as JSON under
``card`` and whatever the training needs to continue under ``extra``.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from crnn.checkpoints.fit import CLASSIFIER, count_channels
from crnn.model import CRNN, build_model, load_weights
from crnn.plainfile import write_plain
from crnn_runtime.model.card import ModelCard


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The content of a checkpoint file, checked to fit its architecture.

    Attributes:
        arch: a key of `BACKBONES`.
        card: the reader's card; None if neither file nor caller knows the alphabet.
        state_dict: the weights, on the CPU, under this project's names.
        epoch: finished epochs.
        best_accuracy: the best validation accuracy so far.
        optimizer: state of the optimiser, or None.
        extra: whatever else the training saved.
    """

    arch: str
    card: ModelCard | None
    state_dict: dict[str, Tensor]
    epoch: int = 0
    best_accuracy: float = 0.0
    optimizer: dict[str, Any] | None = None
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Width of the classifier."""
        return self.state_dict[CLASSIFIER].shape[0]

    @property
    def in_channels(self) -> int:
        """Channels that the first convolution reads."""
        return count_channels(self.state_dict)

    def build(self) -> CRNN:
        """A model with these weights, in evaluation mode."""
        model = build_model(self.arch, self.num_classes, self.in_channels)
        load_weights(model, self.state_dict)
        return model.eval()


def save_checkpoint(
    path: str | Path,
    model: CRNN,
    card: ModelCard,
    *,
    epoch: int = 0,
    best_accuracy: float = 0.0,
    optimizer: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint whole or not at all, and only one that can be read back.

    Args:
        path: the file.
        model: the reader, without any wrapper.
        card: what it reads.
        epoch: finished epochs.
        best_accuracy: the best validation accuracy so far.
        optimizer: its ``state_dict()``.
        extra: tensors and plain values (numbers, strings, lists, dictionaries).

    Raises:
        CrnnError: the file cannot be written.
        ValueError: the card does not describe the model.
        TypeError: ``extra`` or ``optimizer`` holds something that is neither
            tensor nor plain value.
    """
    if card.num_classes != model.num_classes or card.channels != model.backbone.in_channels:
        raise ValueError(
            f"card of {card.num_classes} classes and {card.channels} channels for a model of "
            f"{model.num_classes} and {model.backbone.in_channels}"
        )
    content = {
        "arch": card.arch,
        "epoch": epoch,
        "state_dict": model.state_dict(),
        "best_accuracy": best_accuracy,
        "optimizer": optimizer,
        "card": card.to_json(),
        "extra": dict(extra or {}),
    }
    write_plain(Path(path), content)
