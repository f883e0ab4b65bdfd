"""A run's state: made anew or read back exactly, saved whole or not at all."""

import dataclasses
import logging
from typing import Any

import torch
from torch import nn, optim

from crnn.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from crnn.data.loader import START, Position
from crnn.model import CRNN, build_model, load_weights
from crnn.training.config import BUNDLED, TrainConfig
from crnn.training.new_classes import begin_new_classes
from crnn.training.optim import Ema, make_optimizer
from crnn.training.shapes import start_from_shapes
from crnn.training.transfer import init_weights
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
        accuracy: the latest validation accuracy.
        before: share of exact lines of each validation set before the first step, where
            the run began from another reader's weights.
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
    last = config.directory / LAST
    source = config.resume or (last if last.is_file() and not config.fresh else None)
    if source is None:
        return _new(config, device)
    # The card of a checkpoint from elsewhere is not known: only its weights are of use.
    checkpoint = load_checkpoint(source, arch=config.arch, alphabet=config.alphabet)
    demand_same(checkpoint, config, f"{source}")
    state = _restored(checkpoint, config, device)
    logger.info(
        "continuing %s at step %d (epoch %d)", source, state.steps, state.position.epoch + 1
    )
    return state


def _new(config: TrainConfig, device: torch.device) -> State:
    torch.manual_seed(config.seed)
    card = config.card()
    model = build_model(card.arch, card.num_classes, card.channels)
    if config.init is not None:
        new = init_weights(model, card, config.init).new
        if new and config.glyph_start is not False:
            begin_new_classes(model, config, new)
    elif config.glyph_start:
        start_from_shapes(model, config)
    return _assemble(config, card, model, device)


def layout(config: TrainConfig) -> torch.memory_format:
    """How a run keeps images and kernels in memory."""
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
        raise CrnnError(
            f"{source} holds weights but no state of training: give it to --init instead"
        )
    now = config.fingerprint()
    # A run of before an option was there had what is now its default.
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    saved = {name: defaults[name] for name in now} | checkpoint.extra["config"]
    sources = [options["synth_options"] for options in (saved, now)]
    if any(BUNDLED.items() <= each.items() for each in sources):
        saved["synth_options"], now["synth_options"] = (
            {name: value for name, value in each.items() if name not in BUNDLED} for each in sources
        )
    changed = [name for name in now if saved.get(name) != now[name]]
    if changed:
        name = changed[0]
        raise CrnnError(
            f"{source} belongs to a run with --{name.replace('_', '-')} {saved.get(name)}, not "
            f"{now[name]}: continue it with the same options, or start over with --fresh or "
            "another --directory, perhaps with --init"
        )


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
    torch.set_rng_state(run["rng"])
    if device.type == "cuda" and run["cuda_rng"] is not None:
        torch.cuda.set_rng_state(run["cuda_rng"], device)
    return state


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
        "before": state.before,
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
