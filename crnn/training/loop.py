"""The training loop, to be read from top to bottom."""

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn

from crnn.data.loader import Batch, Position, on_device, training_batches
from crnn.metrics import Scores
from crnn.model import CRNN
from crnn.training import distributed, state
from crnn.training.blend import blend_best
from crnn.training.board import demand_tensorboard
from crnn.training.config import INIT, TrainConfig
from crnn.training.inputs import Inputs, load_inputs, write_lines
from crnn.training.memory import keep_freed_memory
from crnn.training.objective import Objective
from crnn.training.optim import gradient_norm, learning_rate
from crnn.training.reading import Reading, evaluate
from crnn.training.report import Reporter
from crnn.training.state import BEST, LAST, State
from crnn.training.teacher import load_teacher
from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)

_MAX_SKIPPED = 100
"""Steps in a row without a finite gradient after which a run is given up."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainResult:
    """How a run ended.

    Attributes:
        steps: optimiser steps done.
        epochs: whole epochs done.
        minutes: spent, over all resumptions.
        scores: of the last validation, by name of the set; the first is the main one.
        before: share of exact lines before the first step, by name of the set, where
            the run began from another reader's weights.
        best_accuracy: best share of exact lines on the main set; -1 without one.
        failures: messages about lines that could not be read on the way.
        last: checkpoint of the final state.
        best: checkpoint of the best reader; the last one where nothing was validated.
    """

    steps: int
    epochs: int
    minutes: float
    scores: dict[str, Scores]
    before: dict[str, float]
    best_accuracy: float
    failures: list[str]
    last: Path
    best: Path


def train(config: TrainConfig) -> TrainResult:
    """Train a reader, or go on where the last save left a run.

    Under torchrun every process calls it.

    Raises:
        CrnnError: the data, the checkpoint, the device or an option will not do.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = distributed.pick_device(config.gpu)
    if device.type == "cpu":
        keep_freed_memory()
    with distributed.process_group(device):
        return Run(config, _inputs(config, device), device).go()


def _inputs(config: TrainConfig, device: torch.device) -> Inputs:
    """What a run reads; refuses what would fail in its middle."""
    distributed.autocast(device, config.precision)  # refuses what the device cannot do
    if config.tensorboard:
        demand_tensorboard()
    if config.init is None:
        options = {"--teacher init": config.teacher == INIT, "--blend": config.blend}
        for option, is_given in options.items():
            if is_given:
                raise CrnnError(f"{option} needs the weights of --init: give it, too")
    try:
        config.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CrnnError(f"--directory {config.directory}: {error.strerror}") from error
    inputs = load_inputs(config, config.card())
    if config.blend and not inputs.dev:
        raise CrnnError("--blend is chosen by validation lines, and there are none: add a dev set")
    return inputs


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
            _inputs(dataclasses.replace(config, init=Path(BEST)), device)
        result = train(first)
        failures = dict.fromkeys(result.failures)
        for config in others:
            result = train(dataclasses.replace(config, init=result.best))
            failures |= dict.fromkeys(result.failures)
    return dataclasses.replace(result, failures=list(failures))


class Run:
    """One run in one process.

    Args:
        config: of the run.
        inputs: what it reads.
        device: where this process trains.
    """

    def __init__(self, config: TrainConfig, inputs: Inputs, device: torch.device) -> None:
        self.config = config
        self.inputs = inputs
        self.device = device
        teacher = load_teacher(config, inputs.stream.card)  # before the seed is set
        self.state: State = state.start(config, device)
        self.steps_per_epoch = inputs.stream.steps()
        self.reporter = Reporter(config, self.state, self.steps_per_epoch)
        self.scores: dict[str, Scores] = {}
        self.failures: dict[str, None] = {}  # an ordered set
        self.steps_before = self.state.steps
        self.started = time.monotonic() - self.state.seconds
        self.skipped_in_a_row = 0
        self.objective = Objective(self.state.model, config, teacher)
        self.objective.to(device, memory_format=state.layout(config))  # type: ignore[call-overload]
        self.net = self._network()

    def go(self) -> TrainResult:
        """Train until the run's end."""
        with self.reporter:
            if self.config.init is not None and not self.state.steps:
                self._read_before()
            self._train()
            return self._finish()

    def _train(self) -> None:
        config, run = self.config, self.state
        batches = training_batches(
            self.inputs.stream, run.position, workers=config.workers, pin=self.device.type == "cuda"
        )
        progress = self._progress()
        while progress < 1:
            position, lanes = next(batches)
            ended_epoch = position.epoch > run.position.epoch
            self.advance(position, lanes, progress)
            progress = self._progress()
            self._after_step(ended_epoch=ended_epoch, is_last=progress >= 1)
        del batches  # ends the workers

    def advance(self, position: Position, lanes: Sequence[Batch], progress: float) -> None:
        """One step over the batches of this process's lanes, to ``position``.

        Args:
            position: in the data after the step.
            lanes: the batches.
            progress: of the run, 0 to 1.
        """
        run = self.state
        self._freeze()
        loss = self._step(lanes, progress)
        run.position = position
        run.steps += 1
        if run.ema is not None:
            run.ema.update(run.model, run.steps)
        self.reporter.step(loss, len(lanes), self.rate, run, progress)

    def _network(self) -> nn.Module:
        """What is called and differentiated: the objective, compiled and shared out if asked."""
        self.frozen = self.state.position.epoch < self.config.freeze_backbone
        self.state.model.backbone.requires_grad_(not self.frozen)
        net: nn.Module = self.objective
        if self.config.compile:
            net = torch.compile(net, dynamic=True)  # type: ignore[assignment]
        return distributed.wrapped(net)

    def _freeze(self) -> None:
        """Let the backbone learn once its frozen epochs are over."""
        if self.frozen and self.state.position.epoch >= self.config.freeze_backbone:
            self.net = self._network()
        self.net.train()
        if self.frozen:
            self.state.model.backbone.eval()  # its norms keep their statistics

    def _progress(self) -> float:
        """How much of the run is done, 0 to 1, by epochs, steps or time, whichever is furthest."""
        config, run = self.config, self.state
        run.seconds = time.monotonic() - self.started
        total = config.max_epoch * self.steps_per_epoch
        if config.max_steps is not None:
            total = min(total, config.max_steps)
        progress = run.steps / total
        if config.max_minutes is not None:
            # The first process's clock counts for all.
            spent = distributed.first_value(run.seconds / (60 * config.max_minutes))
            progress = max(progress, spent)
        return progress

    def _step(self, lanes: Sequence[Batch], progress: float) -> torch.Tensor:
        """One optimiser step over the batches of all lanes; returns their mean loss."""
        config, run = self.config, self.state
        epochs = run.position.epoch + run.position.step / self.steps_per_epoch
        self.rate = learning_rate(config, progress, epochs)
        for group in run.optimizer.param_groups:
            group["lr"] = self.rate
        losses = []
        for number, batch in enumerate(lanes):
            self.failures.update(dict.fromkeys(batch.failures))
            is_last = number == len(lanes) - 1
            lines = on_device(batch, self.device, channels_last=config.channels_last)
            lines = lines._replace(failures=[])  # what is compiled must not depend on them
            with nullcontext() if is_last else distributed.unsynchronised(self.net):
                loss = self.net(lines, progress) / len(lanes)
                run.scaler.scale(loss).backward()
            losses.append(loss.detach())
        run.scaler.unscale_(run.optimizer)
        norm = gradient_norm(run.model.parameters(), config.clip)
        self._apply(bool(torch.isfinite(norm)))
        run.optimizer.zero_grad(set_to_none=True)
        return torch.stack(losses).sum()

    def _apply(self, is_finite: bool) -> None:
        """Step the optimiser, unless the gradient is not finite."""
        run = self.state
        if is_finite or run.scaler.is_enabled():  # the scaler skips such steps by itself
            run.scaler.step(run.optimizer)
            run.scaler.update()
        if is_finite:
            self.skipped_in_a_row = 0
            return
        run.skipped += 1
        self.skipped_in_a_row += 1
        self.reporter.skipped(run, self.rate, self.skipped_in_a_row, _MAX_SKIPPED)

    def _after_step(self, *, ended_epoch: bool, is_last: bool) -> None:
        config, run = self.config, self.state
        epoch = run.position.epoch
        every = config.validate_steps
        if (
            is_last
            or (ended_epoch and epoch % config.validate_interval == 0)
            or (every and run.steps % every == 0)
        ):
            self._validate()
        if ended_epoch or is_last or (config.save_steps and run.steps % config.save_steps == 0):
            self._save(LAST)
        if ended_epoch and config.save_interval and epoch % config.save_interval == 0:
            self._save(f"{config.arch}_epoch_{epoch}.pth.tar")

    def _read_before(self) -> None:
        """See how well the weights of `init` read, to tell what fine-tuning costs."""
        for name, reading in self._read_all(self.state.shipped):
            self.state.before[name] = reading.scores.exact
            self.reporter.validation(name, self.inputs.dev[name], reading, self.state)

    def _validate(self) -> None:
        """Read every validation set; keep the reader if it is the best so far."""
        config, run = self.config, self.state
        for name, reading in self._read_all(run.shipped):
            self.scores[name] = reading.scores
            self.reporter.validation(name, self.inputs.dev[name], reading, run)
        if not self.scores:
            return
        run.accuracy = next(iter(self.scores.values())).exact
        if run.accuracy > run.best:
            run.best = run.accuracy
            if distributed.is_first():
                state.save_weights(run, config, BEST)

    def _read_all(self, model: CRNN) -> Iterator[tuple[str, Reading]]:
        config, run = self.config, self.state
        distributed.average_buffers(model)
        for name, source in self.inputs.dev.items():
            self.reporter.reads(name)
            reading = evaluate(
                model, source, run.card, batch_size=config.batch_size,
                workers=config.workers, precision=config.precision,
            )  # fmt: skip
            self.failures.update(dict.fromkeys(reading.failures))
            yield name, reading

    def _blend(self) -> None:
        """Look for a better reader on the way from the start to the best one."""

        def read(model: CRNN, share: float) -> dict[str, Reading]:
            readings = dict(self._read_all(model))
            self.reporter.blend(share, readings)
            return readings

        best = blend_best(self.state, self.config, read)
        logger.info("%s is a blend: %g of the fine-tuned weights", BEST, best.share)
        for name, reading in best.readings.items():
            self.scores[name] = reading.scores
            self.reporter.validation(name, self.inputs.dev[name], reading, self.state)

    def _save(self, name: str) -> None:
        self.state.seconds = time.monotonic() - self.started
        if distributed.is_first():
            state.save(self.state, self.config, name)

    def _finish(self) -> TrainResult:
        config, run = self.config, self.state
        if not (config.directory / LAST).is_file():  # a run of no steps
            self._save(LAST)
        if run.steps == self.steps_before:  # a finished run was resumed
            logger.info("nothing left to train: --max-epoch for more, --fresh to start over")
            self._validate()
        if config.blend:
            self._blend()
        if not self.scores:
            logger.info("nothing was validated, for there is no dev set: %s is the reader", LAST)
        if self.failures and distributed.is_first():
            file = config.directory / "unreadable.txt"
            write_lines(file, list(self.failures))
            logger.warning("%d lines could not be read, see %s", len(self.failures), file)
        distributed.wait()
        best = config.directory / BEST
        last = config.directory / LAST
        return TrainResult(
            steps=run.steps,
            epochs=run.position.epoch,
            minutes=run.seconds / 60,
            scores=self.scores,
            before=run.before,
            best_accuracy=run.best,
            failures=list(self.failures),
            last=last,
            best=best if best.is_file() else last,
        )
