"""The result of a run."""

import dataclasses
from pathlib import Path
from signal import Signals

from crnn.metrics import Scores


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The result of a run.

    Attributes:
        steps: optimiser steps done.
        epochs: whole epochs done.
        minutes: spent, over all resumptions.
        scores: of the last validation, by name of the set; the first is the main one.
        before: share of exact lines before the first step, by name of the set, where
            the run began from another reader's weights.
        best_accuracy: best share of exact lines on the main set; -1 without one.
        best_step: after how many steps `best` was saved, None if that is not known.
        failures: messages about lines that could not be read on the way.
        last: checkpoint of the final state.
        best: checkpoint of the best reader; the last one where nothing was validated.
        stopped: the signal that ended the run early; the same one goes on.
    """

    steps: int
    epochs: int
    minutes: float
    scores: dict[str, Scores]
    before: dict[str, float]
    best_accuracy: float
    best_step: int | None
    failures: list[str]
    last: Path
    best: Path
    stopped: Signals | None = None
