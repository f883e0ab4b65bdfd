"""Train readers of text lines: backbones, data, synthesis, training.

>>> import crnn
>>> model = crnn.build_model("lite", num_classes=11)  # (N, 1, H, W) -> (N, T, 11)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crnn.backbones import BACKBONES
    from crnn.checkpoints import Checkpoint, load_checkpoint, load_model, save_checkpoint
    from crnn.model import CRNN, build_model, default_card

# Loaded at first use: `crnn-train --help` must not wait for torch.
_HOMES = {
    "BACKBONES": "backbones",
    "CRNN": "model",
    "Checkpoint": "checkpoints",
    "build_model": "model",
    "default_card": "model",
    "load_checkpoint": "checkpoints",
    "load_model": "checkpoints",
    "save_checkpoint": "checkpoints",
}

__all__ = [
    "BACKBONES",
    "CRNN",
    "Checkpoint",
    "build_model",
    "default_card",
    "load_checkpoint",
    "load_model",
    "save_checkpoint",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
