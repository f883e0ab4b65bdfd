"""Several runs, each from the reader of the one before."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn.training.inputs import inputs_of
from crnn.training.loop import train
from crnn.training.result import TrainResult
from crnn.training.state import BEST


def train_in_turn(configs: Sequence[TrainConfig]) -> TrainResult:
    """Train several times, each time from the reader of the time before.

    Returns:
        How the last run ended, with the failures of all.

    Raises:
        CrnnError: see `train`; what will not do is found before the first run.
    """
    first, *others = configs
    device = distributed.pick_device(first.gpu)
    # One group for all: processes that join a second one may find addresses of the first.
    with distributed.process_group(device):
        for config in others:
            inputs_of(dataclasses.replace(config, init=Path(BEST)), device)
        result = train(first)
        failures = dict.fromkeys(result.failures)
        for config in others:
            if result.stopped:
                break
            result = train(dataclasses.replace(config, init=result.best))
            failures |= dict.fromkeys(result.failures)
    return dataclasses.replace(result, failures=list(failures))
