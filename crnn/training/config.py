"""Everything a training run follows from."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from crnn_runtime.alphabet import Alphabet
from crnn_runtime.card import ModelCard
from crnn_runtime.errors import CrnnError

OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop"]
ScheduleName = Literal["one-cycle", "cosine", "exponential", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]

OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def parse_share(text: str) -> tuple[str, float]:
    """``DATA=SHARE`` → its parts.

    Raises:
        CrnnError: no such form, or the share is not between 0 and 1.
    """
    name, equals, share = text.rpartition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not equals or not name or not 0 < value < 1:
        raise CrnnError(f"--mix {text}: give DATA=SHARE with a share between 0 and 1")
    return name, value


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run.

    Data:
        dataset_root: folder with ``train.txt``/``.tsv`` and perhaps ``dev.txt``/``.tsv``.
        synth: preset of synthetic lines, instead of a data set or as its validation.
        synth_options: keyword arguments of `Synthesizer`, such as fonts or backgrounds.
        synth_lines: synthetic lines that make an epoch.
        dev_lines: fresh synthetic lines to validate on where there is no dev file.
        mix: (data set folder or ``synth:PRESET``, share of the epoch's lines).
        augment: share of real training pictures that are changed at random, each time anew.
        skip_bad: leave lines with a defect out instead of stopping.
        overfit: train and validate on this many lines only, as a self-test.

    Reader:
        arch: a key of `BACKBONES`.
        alphabet: its characters.
        height: in pixels; None is the architecture's default.
        width: fixed width in pixels; None is the architecture's default.
        keep_ratio: keep the aspect ratio, whatever the architecture's default.
        init: checkpoint to take weights from; classes are matched by character.
        freeze_backbone: epochs in which only the classifier learns.

    Optimisation:
        optimizer: one of `OPTIMIZERS`.
        lr: highest learning rate.
        weight_decay: of matrices and kernels only; None is 0.01 for adamw, else 0.
        momentum: of sgd and rmsprop.
        schedule: one of `SCHEDULES`.
        warmup: share of the run in which the learning rate rises.
        lr_decay: factor per epoch of the exponential schedule.
        align: share of the run in which synthetic lines also teach where their
            characters are, less and less; see `crnn.training.loss.alignment_loss`.
        clip: highest norm of the gradient; 0 does not clip.
        ema: decay per step of the averaged weights that are validated and saved; 0 is off.
        precision: of the network; the loss is always float32.
        batch_size: lines per process and forward pass.
        accumulate: batches per step.
        max_epoch: epochs.
        max_steps: stop after so many steps, if sooner.
        max_minutes: stop after so many minutes, if sooner; the schedule ends then too.

    Running:
        directory: where checkpoints and logs go.
        resume: checkpoint to continue exactly from.
        fresh: start over in a directory that holds a run.
        gpu: index of the GPU; None trains on the CPU.
        threads: of the CPU; None is PyTorch's choice.
        workers: processes that load or draw lines; 0 does it in this one.
        seed: of weights, shuffling, synthesis and augmentation.
        channels_last: memory layout that convolutions are fastest in.
        compile: let torch.compile fuse the network.
        validate_interval: epochs between validations.
        validate_steps: steps between further validations; 0 for none.
        save_interval: epochs between numbered checkpoints; 0 keeps only last and best.
        save_steps: steps between saves of the last checkpoint; 0 saves at epoch ends.
        print_freq: steps between log lines.
    """

    arch: str
    alphabet: Alphabet
    directory: Path

    dataset_root: Path | None = None
    synth: str | None = None
    synth_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    synth_lines: int = 20_000
    dev_lines: int = 1000
    mix: tuple[tuple[str, float], ...] = ()
    augment: float = 0.0
    skip_bad: bool = False
    overfit: int = 0

    height: int | None = None
    width: int | None = None
    keep_ratio: bool = False
    init: Path | None = None
    freeze_backbone: int = 0

    optimizer: OptimizerName = "adamw"
    lr: float = 1e-3
    weight_decay: float | None = None
    momentum: float = 0.9
    schedule: ScheduleName = "one-cycle"
    warmup: float = 0.1
    lr_decay: float = 0.9
    align: float = 0.0
    clip: float = 5.0
    ema: float = 0.0
    precision: Precision = "fp32"
    batch_size: int = 64
    accumulate: int = 1
    max_epoch: int = 10
    max_steps: int | None = None
    max_minutes: float | None = None

    resume: Path | None = None
    fresh: bool = False
    gpu: int | None = None
    threads: int | None = None
    workers: int = 1
    seed: int = 0
    channels_last: bool = True
    compile: bool = False
    validate_interval: int = 1
    validate_steps: int = 0
    save_interval: int = 1
    save_steps: int = 0
    print_freq: int = 50

    def __post_init__(self) -> None:
        if self.dataset_root is None and self.synth is None:
            raise CrnnError("nothing to train on: give --dataset-root or --synth")
        if self.width is not None and self.keep_ratio:
            raise CrnnError("--width fixes the width and --keep-ratio keeps the ratio: give one")
        for name in ("batch_size", "accumulate", "max_epoch", "synth_lines", "print_freq"):
            self._demand(name, getattr(self, name) >= 1, "at least 1")
        for name in ("lr", "max_minutes", "max_steps"):
            value = getattr(self, name)
            self._demand(name, value is None or value > 0, "positive")
        for name in ("align", "ema", "momentum", "warmup"):
            self._demand(name, 0 <= getattr(self, name) < 1, "in 0..1, less than 1")
        self._demand("augment", 0 <= self.augment <= 1, "in 0..1")
        if self.overfit and self.mix:
            raise CrnnError("--overfit trains on a few lines of one data set: leave out --mix")
        if not 0 <= sum(share for _, share in self.mix) < 1:
            raise CrnnError("the shares of --mix must stay below 1 in all")

    def _demand(self, name: str, is_good: bool, accepted: str) -> None:
        if not is_good:
            option = "--" + name.replace("_", "-")
            raise CrnnError(f"{option} is {getattr(self, name)}: it must be {accepted}")

    def card(self) -> ModelCard:
        """The card of the reader to train."""
        from crnn.model import default_card  # noqa: PLC0415 (torch: not for --help)

        overrides: dict[str, Any] = {}
        if self.height is not None:
            overrides["height"] = self.height
        if self.keep_ratio:
            overrides["width"] = None
        elif self.width is not None:
            overrides["width"] = self.width
        return default_card(self.arch, self.alphabet, **overrides)

    def fingerprint(self) -> dict[str, Any]:
        """What must be equal for a run to continue: all that shapes the loss curve."""
        free = {
            "directory", "resume", "fresh", "gpu", "threads", "workers", "print_freq", "max_epoch",
            "max_steps", "max_minutes", "validate_interval", "validate_steps", "save_interval",
            "save_steps", "dev_lines", "init",
        }  # fmt: skip
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain = {name: value for name, value in fields.items() if name not in free}
        plain["alphabet"] = self.alphabet.sha256
        plain["dataset_root"] = None if self.dataset_root is None else str(self.dataset_root)
        plain["synth_options"] = dict(self.synth_options)
        plain["mix"] = [list(part) for part in self.mix]
        return plain
