"""A run's state: made anew or read back exactly, saved whole or not at all."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn, optim

from crnn.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crnn.data.loader import START, Position
from crnn.model import CRNN, build_model, load_weights
from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn.training.config.data import BUNDLED
from crnn.training.optim import Ema, make_optimizer
from crnn.training.start.new_classes import begin_new_classes
from crnn.training.start.shapes import start_from_shapes
from crnn.training.start.transfer import init_weights
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.card import ModelCard

logger = logging.getLogger(__name__)

LAST, BEST = "last.pth", "best.pth"


@dataclasses.dataclass
class State:
    """All that changes while a run goes on.

    Attributes:
        card: of the reader.
        model: the network, without any wrapper.
        optimizer: of its weights.
        ema: average of its weights, if the run keeps one.
        scaler: of the loss, for fp16.
        position: in the data.
        steps: optimiser steps done, skipped ones included.
        skipped: steps whose gradient was not finite.
        seconds: spent so far, over all resumptions.
        best: the best validation accuracy, -1 before the first.
        best_step: after how many steps, None before the first.
        accuracy: the latest validation accuracy.
        before: share of exact lines of each validation set before the first step, where
            the run began from another reader's weights.
        is_due: what follows the latest step (validation, numbered checkpoints) is not done.
        tail: of the learning rate, if the run was made longer, see `crnn.training.pace.Tail`.
        length: `TrainConfig.length` when it was saved; None for a new run.
        data: digests of its data sets, see `crnn.training.inputs.Inputs.identity`.
    """

    card: ModelCard
    model: CRNN
    optimizer: optim.Optimizer
    ema: Ema | None
    scaler: torch.amp.GradScaler
    position: Position = START
    steps: int = 0
    skipped: int = 0
    seconds: float = 0.0
    best: float = -1.0
    accuracy: float | None = None
    before: dict[str, float] = dataclasses.field(default_factory=dict)
    best_step: int | None = None
    is_due: bool = False
    tail: tuple[str, float] | None = None
    length: list[float | None] | None = None
    data: list[str] | None = None

    @property
    def shipped(self) -> CRNN:
        """The model that is validated and saved for use: the average, if there is one."""
        if self.ema is None:
            return self.model
        assert isinstance(self.ema.model, CRNN)
        return self.ema.model


def start(config: TrainConfig, device: torch.device) -> State:
    """The state a run begins with: new, or exactly what it was when it was saved.

    A directory that holds the last state of a run with the same configuration
    continues it, so that the same command goes on after a crash.

    Raises:
        CrnnError: the checkpoint belongs to a run that cannot be continued.
    """
    source = _source(config)
    if source is None:
        return _new(config, device)
    checkpoint = _loaded(source, config)
    demand_same(checkpoint, config, f"{source}")
    state = _restored(checkpoint, config, device)
    logger.info(
        "continuing %s at step %d (epoch %d)", source, state.steps, state.position.epoch + 1
    )
    return state


def _source(config: TrainConfig) -> Path | None:
    """The checkpoint to go on from."""
    last = config.directory / LAST
    return config.resume or (last if last.is_file() and not config.fresh else None)


def _loaded(source: Path, config: TrainConfig) -> Checkpoint:
    # The card of a checkpoint from elsewhere is not known: only its weights are of use.
    return load_checkpoint(source, arch=config.arch, alphabet=config.alphabet)


def as_begun(config: TrainConfig) -> TrainConfig:
    """The configuration with as many batches a step as the run that it continues.

    With fewer processes each takes more of them, so that the run goes on as it would have.

    Raises:
        CrnnError: this number of processes cannot share the batches out evenly.
    """
    source = _source(config)
    extra = {} if source is None else _loaded(source, config).extra
    lanes = extra.get("run", {}).get("lanes")
    world = distributed.world_size()
    if lanes in (None, world * config.accumulate):
        return config
    if config.accumulate != extra["config"]["accumulate"]:  # asked for: `demand_same` says no
        return config
    if lanes % world:
        fitting = ", ".join(str(n) for n in range(1, lanes + 1) if lanes % n == 0)
        raise CrnnError(
            f"{source} belongs to a run with {lanes} batches of {config.batch_size} lines a step, "
            f"which {world} processes cannot share out: start {fitting}, or start over with "
            "--fresh or another --directory, perhaps with --init"
        )
    if distributed.is_first():
        logger.info(
            "the run has %d batches of %d lines a step, as it began: %d in each of %d processes",
            lanes, config.batch_size, lanes // world, world,
        )  # fmt: skip
    return dataclasses.replace(config, accumulate=lanes // world)


def _new(config: TrainConfig, device: torch.device) -> State:
    torch.manual_seed(config.seed)
    card = config.card()
    model = build_model(card.arch, card.num_classes, card.channels)
    if config.init is not None:
        new = init_weights(model, card, config.init, config.init_alphabet).new
        if new and config.glyph_start is not False:
            begin_new_classes(model, config, new)
    elif config.glyph_start:
        start_from_shapes(model, config)
    return _assemble(config, card, model, device)


def layout(config: TrainConfig) -> torch.memory_format:
    """Returns the memory layout of a run's images and kernels."""
    return torch.channels_last if config.channels_last else torch.contiguous_format


def _assemble(config: TrainConfig, card: ModelCard, model: CRNN, device: torch.device) -> State:
    model = model.to(device, memory_format=layout(config))  # type: ignore[call-overload]
    model.train()
    return State(
        card=card,
        model=model,
        optimizer=make_optimizer(model, config),
        ema=Ema(model, config.ema) if config.ema else None,
        scaler=torch.amp.GradScaler(device.type, enabled=config.precision == "fp16"),
    )


def demand_same(checkpoint: Checkpoint, config: TrainConfig, source: str) -> None:
    """Refuse to continue a run with other options.

    A run goes into a bundle and comes back: where one side's fonts and words are a bundle's,
    the other's may be anywhere.

    Raises:
        CrnnError: an option that shapes the run has another value, or there is no state.
    """
    if "run" not in checkpoint.extra:
        what = "holds weights but no state of training: give it to --init instead"
        raise CrnnError(f"{source} {what}")
    now = config.fingerprint()
    # A run of before an option was there had what is now its default.
    fields = dataclasses.fields(config)
    defaults = {field.name: field.default for field in fields} | {"teacher_on": "all"}
    saved = {name: defaults[name] for name in now} | checkpoint.extra["config"]
    if checkpoint.extra["run"].get("lanes") == distributed.world_size() * config.accumulate:
        saved["accumulate"] = now["accumulate"]  # in another number of processes
    sources = [options["synth_options"] for options in (saved, now)]
    if any(BUNDLED.items() <= each.items() for each in sources):
        saved["synth_options"], now["synth_options"] = (
            {name: value for name, value in each.items() if name not in {*BUNDLED, "corpus"}}
            for each in sources
        )
    changed = [name for name in now if saved.get(name) != now[name]]
    if changed:
        name = changed[0]
        raise CrnnError(
            f"{source} belongs to a run with --{name.replace('_', '-')} {saved.get(name)}, not "
            f"{now[name]}: continue it with the same options, or start over with --fresh or "
            "another --directory, perhaps with --init"
        )


def demand_same_data(state: State, identity: dict[str, str]) -> None:
    """Refuse to continue a run with other lines than it began with; note what they are.

    Raises:
        CrnnError: a data set has changed.
    """
    saved = state.data or list(identity.values())
    for (name, now), before in zip(identity.items(), saved, strict=True):
        if now != before:
            raise CrnnError(
                f"{name} has changed since the run was saved (then {before}; now {now}), so the "
                "run cannot go on: start over with --fresh or another --directory, perhaps with "
                "--init"
            )
    state.data = list(identity.values())


def _restored(checkpoint: Checkpoint, config: TrainConfig, device: torch.device) -> State:
    run: dict[str, Any] = checkpoint.extra["run"]
    assert checkpoint.card is not None
    model = build_model(checkpoint.arch, checkpoint.num_classes, checkpoint.in_channels)
    load_weights(model, checkpoint.extra["model"] or checkpoint.state_dict)
    state = _assemble(config, config.card(), model, device)
    if state.ema is not None:
        state.ema.model.load_state_dict(checkpoint.state_dict)
    assert checkpoint.optimizer is not None
    state.optimizer.load_state_dict(checkpoint.optimizer)
    if run["scaler"]:
        state.scaler.load_state_dict(run["scaler"])
    state.position = Position(*run["position"])
    state.steps, state.skipped, state.seconds = run["steps"], run["skipped"], run["seconds"]
    state.best, state.accuracy = run["best"], run["accuracy"]
    state.before = run.get("before", {})
    # Older checkpoints do not have these.
    state.best_step, state.is_due = run.get("best_step"), run.get("is_due", False)
    state.length, state.data = run.get("length"), run.get("data")
    state.tail = tuple(run["tail"]) if run.get("tail") else None
    torch.set_rng_state(run["rng"])
    if device.type == "cuda" and run["cuda_rng"] is not None:
        torch.cuda.set_rng_state(run["cuda_rng"], device)
    return state


def going_on(config: TrainConfig, state: State) -> str:
    """Says in words what is saved of a run that was stopped, and how to go on from there."""
    last = config.directory / LAST
    if not last.is_file():
        return "no step was done and nothing is saved"
    how = "the same command goes on"
    if config.resume is not None and config.resume.resolve() != last.resolve():
        how += f" with --resume {last}"
    elif config.fresh:
        how += " without --fresh"
    return f"{last} is at step {state.steps}, from which {how}"


def save(state: State, config: TrainConfig, name: str) -> None:
    """Write everything that `start` needs to continue.

    Raises:
        CrnnError: the file cannot be written.
    """
    device = next(state.model.parameters()).device
    run = {
        "position": list(state.position),
        "steps": state.steps,
        "skipped": state.skipped,
        "seconds": state.seconds,
        "best": state.best,
        "accuracy": state.accuracy,
        "best_step": state.best_step,
        "before": state.before,
        "is_due": state.is_due,
        "tail": state.tail and list(state.tail),
        "length": config.length(),
        "data": state.data,
        "lanes": distributed.world_size() * config.accumulate,
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "scaler": state.scaler.state_dict(),
    }
    weights: dict[str, Any] | None = state.model.state_dict() if state.ema is not None else None
    save_checkpoint(
        config.directory / name,
        state.shipped,
        _final_card(state, config),
        epoch=state.position.epoch,
        best_accuracy=max(0.0, state.best),
        optimizer=state.optimizer.state_dict(),
        extra={"run": run, "config": config.fingerprint(), "model": weights},
    )


def save_weights(
    state: State, config: TrainConfig, name: str, model: CRNN | None = None, **summary: object
) -> None:
    """Write a reader alone, without what is needed to train on.

    Args:
        state: of the run.
        config: of the run.
        name: of the file.
        model: the reader; None is the run's own.
        summary: what its card says of the training besides.

    Raises:
        CrnnError: the file cannot be written.
    """
    card = _final_card(state, config)
    save_checkpoint(
        config.directory / name,
        model or state.shipped,
        card.replace(training={**card.training, **summary}),
        epoch=state.position.epoch,
        best_accuracy=max(0.0, state.best),
    )


def _final_card(state: State, config: TrainConfig) -> ModelCard:
    """The card with a summary of the training so far."""
    data = str(config.dataset_root.name) if config.dataset_root else f"synth:{config.synth}"
    return state.card.replace(
        training={
            "data": data,
            "mix": [list(part) for part in config.mix],
            "steps": state.steps,
            "epochs": state.position.epoch,
            "batch_size": config.batch_size,
            "optimizer": config.optimizer,
            "lr": config.lr,
            "schedule": config.schedule,
            "seed": config.seed,
            "minutes": round(state.seconds / 60, 2),
            "accuracy": state.accuracy,
        },
        versions={"torch": torch.__version__},
    )


def count_parameters(model: nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(parameter.numel() for parameter in model.parameters())
