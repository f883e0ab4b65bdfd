"""What a run tells: log lines, a JSON log, advice."""

import json
import logging
import re
import time
from typing import Any

from torch import Tensor

from crnn.data.sources import Source
from crnn.metrics import confusions, worst
from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn.training.inputs import write_lines
from crnn.training.reading import Reading
from crnn.training.state import State, count_parameters
from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)

LOG = "log.jsonl"

_SHOWN = 20


class Reporter:
    """Writes ``log.jsonl`` and log lines from the first process.

    Losses stay on the device until a line is due, so that reporting never waits
    for a GPU.
    """

    def __init__(self, config: TrainConfig, run: State, steps_per_epoch: int) -> None:
        self.config = config
        self.steps_per_epoch = steps_per_epoch
        self.losses: list[Tensor] = []
        self.lines = 0
        self.since = time.monotonic()
        if not distributed.is_first():
            return
        # A resumed run appends; lines after the last save are written once more.
        self.file = (config.directory / LOG).open("a" if run.steps else "w", encoding="utf-8")
        logger.info(
            "%s: %.2f M parameters, %d classes, %d steps an epoch",
            config.arch, count_parameters(run.model) / 1e6, run.card.num_classes, steps_per_epoch,
        )  # fmt: skip

    def step(self, loss: Tensor, lanes: int, rate: float, run: State, progress: float) -> None:
        """Note a step; every ``print_freq`` of them make a line."""
        self.losses.append(loss)
        self.lines += lanes * self.config.batch_size * distributed.world_size()
        if run.steps % self.config.print_freq:
            return
        loss_mean = float(distributed.mean(sum(self.losses[1:], self.losses[0]))) / len(self.losses)
        speed = self.lines / max(1e-9, time.monotonic() - self.since)
        self.losses, self.lines, self.since = [], 0, time.monotonic()
        if distributed.is_first():
            self._write(step=run.steps, loss=loss_mean, lr=rate, lines_per_second=round(speed, 1))
            logger.info(
                "epoch %d step %d/%d: loss %.4f, lr %.2e, %.0f lines/s, %.0f min left",
                run.position.epoch + 1, run.position.step, self.steps_per_epoch, loss_mean, rate,
                speed, run.seconds / 60 * (1 - progress) / max(progress, 1e-9),
            )  # fmt: skip

    def validation(self, name: str, source: Source, reading: Reading, run: State) -> None:
        """Note how well a set was read, what was confused, and list the worst lines."""
        if not distributed.is_first():
            return
        pairs = confusions(reading.truths, reading.texts).most_common(_SHOWN)
        self._write(
            step=run.steps, validation=name, **reading.scores.to_dict(),
            confusions=[[true, read, count] for (true, read), count in pairs],
        )  # fmt: skip
        rows = [
            f"{source.where(reading.indices[n])}\t{reading.truths[n]}\t{reading.texts[n]}"
            for n in worst(reading.truths, reading.texts, _SHOWN)
        ]
        safe = re.sub(r"[^\w.-]+", "-", name)
        write_lines(self.config.directory / f"worst-{safe}.tsv", ["line\ttruth\tread", *rows])
        logger.info("step %d, %s: %s", run.steps, name, reading.scores)
        if reading.texts and not any(reading.texts):
            logger.warning(
                "after %d steps every line reads as nothing. CTC starts so; if it lasts, try a "
                "higher --lr, shorter lines first, more steps, or --init; check with --overfit 16",
                run.steps,
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

    def close(self) -> None:
        """Close the log."""
        if distributed.is_first():
            self.file.close()

    def _write(self, **entry: Any) -> None:  # noqa: ANN401
        self.file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.file.flush()
