"""A training run that takes seconds: few synthetic digits, one process."""

from pathlib import Path
from typing import Any

from crnn.training import TrainConfig
from crnn_runtime.model.alphabet import Alphabet

DIGITS = Alphabet("0123456789")


def small_run(directory: Path, **changes: Any) -> TrainConfig:  # noqa: ANN401
    """A configuration of ``lite`` on synthetic digits."""
    small: dict[str, Any] = {
        "arch": "lite", "alphabet": DIGITS, "synth": "digits", "synth_lines": 12, "dev_lines": 4,
        "synth_options": {"fonts": "packages"}, "batch_size": 2, "max_epoch": 2, "workers": 0,
        "print_freq": 1, "save_interval": 0,
    }  # fmt: skip
    return TrainConfig(directory=directory, **(small | changes))
