"""Reports a run: log lines, a JSON log, advice."""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

from crnn.data.sources import Source
from crnn.metrics import Scores, confusions
from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn.training.reading import Reading
from crnn.training.report.board import Board
from crnn.training.report.progress import Bar, on_terminal
from crnn.training.report.worst import SHOWN, save_worst
from crnn.training.state import State, count_parameters
from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)

LOG = "log.jsonl"


class Reporter:
    """Tells how a run goes: ``log.jsonl``, log lines or a bar on a terminal, TensorBoard.

    Only the first process speaks. Losses stay on the device until a line is due,
    so that reporting never waits for a GPU. A context manager.
    """

    def __init__(self, config: TrainConfig, run: State, steps_per_epoch: int) -> None:
        self.config = config
        self.steps_per_epoch = steps_per_epoch
        self.losses: list[Tensor] = []
        self.lines = 0
        self.since = self.paused = time.monotonic()
        self.is_first = distributed.is_first()
        self.bar = Bar(is_shown=self.is_first and on_terminal())
        self.board: Board | None = None
        if not self.is_first:
            return
        # A resumed run appends; lines after the last save are written once more.
        self.file = (config.directory / LOG).open("a" if run.steps else "w", encoding="utf-8")
        if config.tensorboard:
            self.board = Board(config, run.steps)
        logger.info(
            "%s: %.2f M parameters, %d classes, %d steps an epoch",
            config.arch, count_parameters(run.model) / 1e6, run.card.num_classes, steps_per_epoch,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self.bar.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        if self.is_first:
            self.file.close()
        if self.board is not None:
            self.board.close()

    def step(self, loss: Tensor, lanes: int, rate: float, run: State, progress: float) -> None:
        """Note a step; every ``print_freq`` of them make a line."""
        lines = lanes * self.config.batch_size * distributed.world_size()
        self.losses.append(loss)
        self.lines += lines
        position = run.position
        self.bar.step(progress, f"epoch {position.epoch + 1} step {position.step}", lines)
        if run.steps % self.config.print_freq:
            return
        mean = float(distributed.mean(sum(self.losses[1:], self.losses[0]))) / len(self.losses)
        speed = self.lines / max(1e-9, time.monotonic() - self.since)
        self.losses, self.lines, self.since = [], 0, time.monotonic()
        if not self.is_first:
            return
        curves = {"loss": mean, "lr": rate, "lines_per_second": round(speed, 1)}
        self._write(step=run.steps, **curves)
        if self.board is not None:
            self.board.curves("train", curves, run.steps)
        if self.bar.is_shown:
            self.bar.loss(mean)
            return
        left = f", {run.seconds / 60 * (1 - progress) / progress:.0f} min left" if progress else ""
        logger.info(
            "epoch %d step %d/%d: loss %.4f, lr %.2e, %.0f lines/s%s",
            position.epoch + 1, position.step, self.steps_per_epoch, mean, rate, speed, left,
        )  # fmt: skip

    def reads(self, name: str) -> None:
        """Say that a set is being read; that time says nothing about the speed of steps."""
        self.paused = time.monotonic()
        self.bar.say(f"reading {name}")

    def validation(self, name: str, source: Source, reading: Reading, run: State) -> None:
        """Note how well a set was read and what was confused, and show the worst lines."""
        self.since += time.monotonic() - self.paused
        if not self.is_first:
            return
        scores = reading.scores
        pairs = confusions(reading.truths, reading.texts).most_common(SHOWN)
        self._write(
            step=run.steps, validation=name, **scores.to_dict(), before=run.before.get(name),
            confusions=[[true, read, count] for (true, read), count in pairs],
        )  # fmt: skip
        logger.info(
            "step %d, %s: %s%s", run.steps, name, scores, kept(scores, run.before.get(name))
        )
        page = save_worst(self.config.directory, name, source, reading, run.card.color)
        if self.board is not None:
            self.board.curves(name, scores.to_dict(), run.steps)
            self.board.picture(f"{name}/worst", page, run.steps)
            self.board.flush()
        if run.steps and reading.texts and not any(reading.texts):
            logger.warning(
                "after %d steps every line reads as nothing. CTC starts so; if it lasts, try a "
                "higher --lr, shorter lines first, more steps, or --init; check with --overfit 16",
                run.steps,
            )

    def blend(self, share: float, readings: Mapping[str, Reading]) -> None:
        """Note how a blend of the start and the fine-tuned reader reads."""
        if not self.is_first:
            return
        exact = {name: reading.scores.exact for name, reading in readings.items()}
        self._write(blend=share, exact=exact)
        logger.info(
            "blend %g: %s", share, ", ".join(f"{name} {value:.2%}" for name, value in exact.items())
        )

    def skipped(self, run: State, rate: float, in_a_row: int, limit: int) -> None:
        """Explain a step whose gradient was not finite, without flooding the log.

        Raises:
            CrnnError: too many in a row.
        """
        if in_a_row >= limit:
            raise CrnnError(
                f"the gradient was not finite for {limit} steps in a row (step {run.steps}, "
                f"learning rate {rate:.1e}): use a lower --lr, or --precision fp32 or bf16; "
                "the last checkpoint is good"
            )
        if in_a_row == 1 and run.skipped.bit_count() == 1:  # the 1st, 2nd, 4th, 8th …
            logger.warning(
                "step %d: the gradient is not finite and the step is skipped (%d so far); "
                "if it goes on, lower --lr (%.1e now)",
                run.steps, run.skipped, rate,
            )  # fmt: skip

    def _write(self, **entry: Any) -> None:  # noqa: ANN401
        self.file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.file.flush()


def kept(scores: Scores, before: float | None) -> str:
    """Says in words which share of the accuracy before fine-tuning is left, or nothing if that is
    unknown.
    """
    if not before:
        return ""
    return f"; {before:.2%} before: {scores.exact / before:.1%} kept"
