"""Training: `TrainConfig` says what, `train` does it."""

from importlib import import_module
from typing import TYPE_CHECKING

from crnn.training.config import OPTIMIZERS, PRECISIONS, SCHEDULES, TrainConfig

if TYPE_CHECKING:
    from crnn.training.loop import train
    from crnn.training.reading import Reading, evaluate
    from crnn.training.result import TrainResult

# Loaded at first use: `crnn-train --help` must not wait for torch.
_HOMES = {"Reading": "reading", "TrainResult": "result", "evaluate": "reading", "train": "loop"}

__all__ = [
    "OPTIMIZERS",
    "PRECISIONS",
    "SCHEDULES",
    "Reading",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
