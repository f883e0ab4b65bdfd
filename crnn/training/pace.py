"""Measures the progress of a run, and sets the learning rate that follows from it."""

import logging
import time
from typing import NamedTuple

from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn.training.optim import learning_rate
from crnn.training.state import State

logger = logging.getLogger(__name__)


class Tail(NamedTuple):
    """The learning rate of a run that was made longer, unless its schedule is just stretched.

    Attributes:
        kind: ``constant``: the rate stays what it was; ``cycle``: the schedule begins anew.
        value: that rate; or the progress of the run at which the schedule begins.
    """

    kind: str
    value: float


class Pace:
    """The clock of a run; it tells when the run's length is not what it was.

    Args:
        config: of the run.
        run: its state; `State.seconds` is kept up to date, `State.tail` is chosen.
        steps_per_epoch: of all processes.
    """

    def __init__(self, config: TrainConfig, run: State, steps_per_epoch: int) -> None:
        self.config = config
        self.run = run
        self.steps_per_epoch = steps_per_epoch
        self._started = time.monotonic() - run.seconds
        if run.length not in (None, config.length()) and (progress := self.progress()) < 1:
            self._choose_tail(progress)

    def progress(self) -> float:
        """The share of the run that is done, 0 to 1, by epochs, steps or time, whichever is
        furthest.
        """
        config, run = self.config, self.run
        run.seconds = time.monotonic() - self._started
        total = config.max_epoch * self.steps_per_epoch
        if config.max_steps is not None:
            total = min(total, config.max_steps)
        progress = run.steps / total if total else 1.0
        if config.max_minutes is not None:
            # The first process's clock counts for all.
            spent = distributed.first_value(run.seconds / (60 * config.max_minutes))
            progress = max(progress, spent)
        return progress

    def rate(self, progress: float) -> float:
        """The learning rate of the next step."""
        epoch, step = self.run.position
        epochs = epoch + step / self.steps_per_epoch
        match self.run.tail:
            case ("constant", rate):
                return rate
            case (_, start):
                progress = (progress - start) / (1 - start)
        return learning_rate(self.config, progress, epochs)

    def _choose_tail(self, progress: float) -> None:
        config, run = self.config, self.run
        before = run.optimizer.param_groups[0]["lr"]
        tails = {"constant": Tail("constant", before), "cycle": Tail("cycle", progress)}
        run.tail = tails.get(config.lengthen)
        after = self.rate(progress)
        if distributed.is_first() and not 0.9 * before < after < 1.1 * before:
            logger.warning(
                "the run has another length than before, so the learning rate goes from %.1e to "
                "%.1e at step %d (--lengthen %s): --lengthen constant keeps it as it was, cycle "
                "begins a new cycle, stretch takes the schedule over the whole run",
                before, after, run.steps + 1, config.lengthen,
            )  # fmt: skip
