"""The training loop, to be read from top to bottom."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from signal import Signals

import torch
from torch import nn

from crnn.data.loader import START, Batch, Position, Steps, on_device, training_batches
from crnn.data.parts import in_parts
from crnn.memory import keep_freed_memory
from crnn.metrics import Scores
from crnn.model import CRNN
from crnn.training import distributed, state
from crnn.training.alone import alone_in
from crnn.training.blend import blend_best
from crnn.training.config import TrainConfig
from crnn.training.inputs import Inputs, inputs_of, write_lines
from crnn.training.objective import Objective
from crnn.training.objective.teacher import load_teacher
from crnn.training.optim import gradient_norm
from crnn.training.pace import Pace
from crnn.training.reading import Reading, evaluate
from crnn.training.report.reporter import Reporter
from crnn.training.result import TrainResult
from crnn.training.start.fitted_classes import fit_new_classes
from crnn.training.start.transfer import new_codes
from crnn.training.state import BEST, LAST, State
from crnn.training.stopping import StopRequested, StopSignals
from crnn.workers import WorkerDiedError

logger = logging.getLogger(__name__)

_MAX_SKIPPED = 100
"""Steps in a row without a finite gradient after which a run is given up."""


def train(config: TrainConfig) -> TrainResult:
    """Train a reader, or go on where the last save left a run.

    Under torchrun every process calls it. Ctrl-C and SIGTERM end it after the step it is in,
    with everything saved, see `TrainResult.stopped`.

    Raises:
        CrnnError: the data, the checkpoint, the device or an option will not do.
        WorkerDiedError: a process that loads lines was killed; everything is saved then, too.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = distributed.pick_device(config.gpu)
    with distributed.process_group(device):
        config = state.as_begun(config)
        inputs = inputs_of(config, device)
        with alone_in(config.directory) if distributed.is_first() else nullcontext():
            return Run(config, inputs, device).go()


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
        state.demand_same_data(self.state, inputs.identity)
        self.steps_per_epoch = inputs.stream.steps()
        self.pace = Pace(config, self.state, self.steps_per_epoch)
        self.reporter = Reporter(config, self.state, self.steps_per_epoch)
        self.scores: dict[str, Scores] = {}
        self.failures: dict[str, None] = {}  # an ordered set
        self.steps_before = self.state.steps
        self.skipped_in_a_row = 0
        self.objective = Objective(self.state.model, config, teacher)
        self.objective.to(device, memory_format=state.layout(config))  # type: ignore[call-overload]
        self.signals = StopSignals()
        self.net = self._network()

    def go(self) -> TrainResult:
        """Train until the run's end, or until somebody stops it."""
        stopped = None
        with self.reporter, self.signals:
            try:
                was_saved = self.state.steps or self.state.length is not None
                if self.config.init is not None and not was_saved:
                    self._read_before()
                    self._fit_new()
                self._train()
                self._conclude()
            except (StopRequested, WorkerDiedError) as error:
                stopped = self._stop(error)
            return self._result(stopped)

    def _fit_new(self) -> None:
        """Fit the classes that the start lacks, if that is asked for."""
        config, run = self.config, self.state
        assert config.init is not None
        if not config.fit_new:
            return
        fresh = new_codes(run.card, config.init, config.init_alphabet)
        if not fresh:
            return
        count = math.ceil(config.fit_new / (config.batch_size * config.accumulate))
        batches = training_batches(self.inputs.stream, START, workers=config.workers, pin=False)
        fit_new_classes(
            run.model,
            fresh,
            (
                on_device(batch, self.device, channels_last=config.channels_last)
                for _ in range(count)
                for batch in self._next(batches)[1]
            ),
        )
        batches.close()
        if run.ema is not None:
            run.ema.model.load_state_dict(run.model.state_dict())

    def _train(self) -> None:
        config, run = self.config, self.state
        if self.device.type == "cpu":
            keep_freed_memory()
        batches = training_batches(
            self.inputs.stream, run.position, workers=config.workers, pin=self.device.type == "cuda"
        )
        progress = self.pace.progress()
        if run.is_due:
            self._after_step(is_last=progress >= 1)
        while progress < 1:
            position, lanes = self._next(batches)
            self.advance(position, lanes, progress)
            progress = self.pace.progress()
            self._after_step(is_last=progress >= 1)
        batches.close()  # ends the workers

    def _next(self, batches: Steps) -> tuple[Position, list[Batch]]:
        """The next step's batches; what keeps one process from them stops all."""
        problem: Exception | None = None
        try:
            with self.signals.while_idle():
                found = next(batches)
        except (StopRequested, WorkerDiedError) as error:
            problem = error
        distributed.demand_of_all(problem)
        return found

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
        """The objective, wrapped for several processes if there are such."""
        self.frozen = self.state.position.epoch < self.config.freeze_backbone
        self.state.model.backbone.requires_grad_(not self.frozen)
        return distributed.wrapped(self.objective)

    def _freeze(self) -> None:
        """Let the backbone learn once its frozen epochs are over."""
        if self.frozen and self.state.position.epoch >= self.config.freeze_backbone:
            self.net = self._network()
        self.net.train()
        if self.frozen:
            self.state.model.backbone.eval()  # its norms keep their statistics

    def _step(self, lanes: Sequence[Batch], progress: float) -> torch.Tensor:
        """One optimiser step over the batches of all lanes; returns their mean loss.

        On CPUs a wide batch is differentiated in parts, so that its activations need not be
        kept all at once. CTC's gradient is the same; norms see the statistics of a part, and
        terms that are means over characters are so within a part.
        """
        config, run = self.config, self.state
        self.rate = self.pace.rate(progress)
        for group in run.optimizer.param_groups:
            group["lr"] = self.rate
        self.failures.update(dict.fromkeys(line for batch in lanes for line in batch.failures))
        parts = [part for batch in lanes for part in in_parts(batch, self.device)]
        losses = []
        for number, (batch, share) in enumerate(parts):
            is_last = number == len(parts) - 1
            lines = on_device(batch, self.device, channels_last=config.channels_last)
            with nullcontext() if is_last else distributed.unsynchronised(self.net):
                loss = self.net(lines, progress) * share / len(lanes)
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

    def _after_step(self, *, is_last: bool) -> None:
        """Validate and save, if it is time; a stop amid it leaves it due."""
        config, run = self.config, self.state
        epoch, step = run.position
        ended_epoch = step == 0
        every = config.validate_steps
        run.is_due = True
        if (
            is_last
            or (ended_epoch and epoch % config.validate_interval == 0)
            or (every and run.steps % every == 0)
        ):
            self._validate()
        run.is_due = False
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
            run.best, run.best_step = run.accuracy, run.steps
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
                check=self.signals.demand_none,
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
        self.pace.progress()  # of which the saved seconds are a part
        if distributed.is_first():
            state.save(self.state, self.config, name)

    def _stop(self, error: StopRequested | WorkerDiedError) -> Signals:
        """Save what the run has done since it was started, and say how to go on."""
        if self.state.steps > self.steps_before:
            self._save(LAST)
        distributed.wait()
        how = state.going_on(self.config, self.state)
        if isinstance(error, WorkerDiedError):
            raise WorkerDiedError(f"{error}; {how}") from error
        if distributed.is_first():
            logger.warning("stopped by %s: %s", error.signal.name, how)
        return error.signal

    def _conclude(self) -> None:
        """Say what became of a run that has come to its end."""
        config, run = self.config, self.state
        if not (config.directory / LAST).is_file():  # a run of no steps
            self._save(LAST)
        if run.steps == self.steps_before and config.max_steps != 0:  # a finished run was resumed
            logger.info("nothing left to train: --max-epoch for more, --fresh to start over")
        if run.steps == self.steps_before and not self.scores:
            self._validate()
        if config.blend:
            self._blend()
        if not self.scores:
            logger.info("nothing was validated, for there is no dev set: %s is the reader", LAST)

    def _result(self, stopped: Signals | None) -> TrainResult:
        config, run = self.config, self.state
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
            best_step=run.best_step if best.is_file() else run.steps,
            failures=list(self.failures),
            last=last,
            best=best if best.is_file() else last,
            stopped=stopped,
        )
