"""Curves and pictures for TensorBoard, where it is installed."""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from crnn.training.config import TrainConfig
from crnn_runtime.errors import MissingDependencyError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""In the run's directory."""


def demand_tensorboard() -> None:
    """See that the package is there, before the data are checked for minutes.

    Raises:
        MissingDependencyError: it is not.
    """
    _writer_class()


def _writer_class() -> "type[SummaryWriter]":
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise MissingDependencyError.of_extra("tensorboard", "tensorboard") from error
    return SummaryWriter


class Board:
    """Writes event files below a run's directory.

    Args:
        config: of the run.
        steps: done so far; what an interrupted run wrote beyond them is hidden.
    """

    def __init__(self, config: TrainConfig, steps: int) -> None:
        self.writer = _writer_class()(
            str(config.directory / FOLDER), purge_step=steps + 1 if steps else 0
        )

    def curves(self, group: str, values: dict[str, float], step: int) -> None:
        """Add a point to each of some curves, such as ``train/loss``."""
        for name, value in values.items():
            self.writer.add_scalar(f"{group}/{name}", value, step)

    def picture(self, name: str, page: Image.Image, step: int) -> None:
        """Add a picture."""
        self.writer.add_image(name, np.asarray(page), step, dataformats="HWC")

    def flush(self) -> None:
        """Let a viewer see what was added."""
        self.writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()
