"""From a configuration to the lines it trains and validates on."""

import dataclasses
import logging
from collections.abc import Callable, Container
from pathlib import Path

import torch

from crnn.backbones import backbone_class
from crnn.data.annotations import find_annotations, has_annotations
from crnn.data.augment import Augment
from crnn.data.check import VISUAL_ORDER, DataSet, check, right_to_left
from crnn.data.loader import Stream
from crnn.data.plan import Mix
from crnn.data.sources import AnnotatedLines, Source, SyntheticLines
from crnn.synth import Synthesizer
from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn.training.config.optimisation import INIT
from crnn.training.report.board import demand_tensorboard
from crnn.training.unlabelled import pseudo_labels
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.preprocess import padded_width, valid_steps

logger = logging.getLogger(__name__)

_SYNTH = "synth:"
_DEV_SEED = 1_000_003
"""Added to the seed: validation lines are never training lines."""


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The inputs of a run.

    Attributes:
        stream: of training batches.
        dev: validation sets by name, the first decides which checkpoint is best.
    """

    stream: Stream
    dev: dict[str, Source]

    @property
    def identity(self) -> dict[str, str]:
        """Training data set → what tells whether its lines are still the same ones."""
        sources = self.stream.mix.sources
        return {each.name: each.digest() for each in sources if isinstance(each, AnnotatedLines)}


def inputs_of(config: TrainConfig, device: torch.device) -> Inputs:
    """Returns the inputs of a run.

    Raises:
        CrnnError: see `load_inputs`; or something would fail in the middle of the run.
    """
    distributed.autocast(device, config.precision)  # refuses what the device cannot do
    if config.precision == "bf16" and not distributed.computes_bf16(device):
        logger.warning(
            "bf16 is only emulated here, on a CPU ten times slower: take --precision fp32"
        )
    if config.tensorboard:
        demand_tensorboard()
    if config.init is None:
        options = {
            "--teacher init": config.teacher == INIT,
            "--blend": config.blend,
            "--init-alphabet": config.init_alphabet,
            "--fit-new": config.fit_new,
        }
        for option, is_given in options.items():
            if is_given:
                raise CrnnError(f"{option} needs the weights of --init: give it, too")
    if config.fit_new and distributed.world_size() > 1:
        raise CrnnError(
            "--fit-new runs in one process: fit with --max-steps 0 first, then train on from that "
            "reader with --init"
        )
    try:
        config.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CrnnError(f"--directory {config.directory}: {error.strerror}") from error
    if config.image_root is not None and config.dataset_root is None:
        raise CrnnError("--image-root is for the pictures of --dataset-root: give that, too")
    inputs = load_inputs(config, config.card())
    if config.blend and not inputs.dev:
        raise CrnnError("--blend is chosen by validation lines, and there are none: add a dev set")
    return inputs


def steps_of(card: ModelCard) -> Callable[[int], int]:
    """Width in pixels of a scaled line → time steps that CTC may use."""
    backbone = backbone_class(card.arch)

    def steps(width: int) -> int:
        return min(valid_steps(card, width), backbone.time_steps(padded_width(card, width)))

    return steps


def load_inputs(config: TrainConfig, card: ModelCard) -> Inputs:
    """Check all data and lay out the run.

    Raises:
        CrnnError: a file is missing or, without ``skip_bad``, a line is unusable.
    """
    main, main_dev = _main(config, card)
    dev = {"dev": main_dev} if main_dev is not None else {}
    others: list[tuple[Source, float]] = []
    for name, share in config.mix:
        source, its_dev = _named(name, config, card)
        others.append((source, share))
        if its_dev is not None:
            dev[name] = its_dev
    if config.unlabelled is not None and (config.dataset_root or config.synth):
        guessed = _guessed(config, card)
        # Each of its lines comes once in an epoch, as each of the main set's does.
        rest = 1 - sum(share for _, share in others)
        others.append((guessed, rest * len(guessed) / (len(main) + len(guessed))))
    dev |= _further(config, card, known=dev)
    lanes = distributed.world_size() * config.accumulate
    first = distributed.rank() * config.accumulate
    stream = Stream(
        mix=Mix.of(main, others),
        card=card,
        batch_size=config.batch_size,
        seed=config.seed,
        lanes=lanes,
        mine=range(first, first + config.accumulate),
    )
    return Inputs(stream, dev)


def annotation_files(config: TrainConfig) -> list[Path]:
    """The annotation files of a run: train and, where there is one, dev, of every data set.

    Each comes once.

    Raises:
        CrnnError: the run has no data set, or no training file is in it.
    """
    roots = [Path(name) for name, _ in config.mix if not name.startswith(_SYNTH)]
    if config.dataset_root is not None:
        roots.insert(0, config.dataset_root)
    if not roots:
        raise CrnnError("no data set to check: give --dataset-root")
    files = []
    for root in roots:
        files.append(find_annotations(root, "train"))
        if has_annotations(root, "dev"):
            files.append(find_annotations(root, "dev"))
        elif root == config.dataset_root:  # what is mixed in need not have one
            _warn_of_no_dev(root)
    further = [Path(name) for name in config.validate_on if not name.startswith(_SYNTH)]
    files += [find_annotations(root, "dev") for root in further]
    return list(dict.fromkeys(files))


def open_presets(config: TrainConfig, card: ModelCard) -> None:
    """Open every kind of synthetic lines that is mixed in or read.

    Raises:
        CrnnError: there is no such preset, or it lacks its fonts or words.
    """
    names = [name for name, _ in config.mix] + list(config.validate_on)
    for name in dict.fromkeys(names):
        if name.startswith(_SYNTH):
            _synthetic(name.removeprefix(_SYNTH), config, card)


def _warn_of_no_dev(root: Path) -> None:
    logger.warning(
        "%s has no dev set (dev.txt, dev.tsv or LMDB dev/): nothing to validate on", root
    )


def load_dev(config: TrainConfig, card: ModelCard) -> dict[str, Source]:
    """The validation lines alone, by name of the set.

    Raises:
        CrnnError: see `load_inputs`; or there is no dev file.
    """
    main = config.dataset_root or f"{_SYNTH}{config.synth}"
    dev = {"dev": _dev(str(main), config, card)}
    return dev | _further(config, card, known=dev)


def _further(config: TrainConfig, card: ModelCard, known: Container[str]) -> dict[str, Source]:
    """Returns the sources that are read without being trained on."""
    names = [name for name in config.validate_on if name not in known]
    return {name: _dev(name, config, card) for name in names}


def _dev(name: str, config: TrainConfig, card: ModelCard) -> Source:
    if name.startswith(_SYNTH):
        return _synthetic(name.removeprefix(_SYNTH), config, card, is_dev=True)
    return AnnotatedLines(_checked(Path(name), "dev", config, card), card)


def _main(config: TrainConfig, card: ModelCard) -> tuple[Source, Source | None]:
    train: Source
    dev: Source | None
    if config.dataset_root is None and config.synth is None:
        train, dev = _guessed(config, card), None
        if not config.validate_on and distributed.is_first():
            logger.warning("nothing to validate on: give lines with labels to --validate-on")
    elif config.dataset_root is None:
        train, dev = _named(f"{_SYNTH}{config.synth}", config, card)
    else:
        train, dev = _annotated(config.dataset_root, config, card)
    if config.overfit:
        few = _First(train, config.overfit)
        return few, few
    if dev is None and config.dataset_root is not None:
        _warn_of_no_dev(config.dataset_root)
    return train, dev


def _named(name: str, config: TrainConfig, card: ModelCard) -> tuple[Source, Source | None]:
    if not name.startswith(_SYNTH):
        return _annotated(Path(name), config, card)
    return _synthetic(name.removeprefix(_SYNTH), config, card), _dev(name, config, card)


def _synthetic(
    preset: str, config: TrainConfig, card: ModelCard, *, is_dev: bool = False
) -> SyntheticLines:
    # Looks are changed in the main preset alone; what is drawn, and in what, everywhere.
    options = config.synth_options if preset == config.synth else config.synth_sources()
    seed = config.seed + (_DEV_SEED if is_dev else 0)
    lines = Synthesizer(preset, seed=seed, alphabet=card.alphabet, **options)
    return SyntheticLines(lines, card, config.dev_lines if is_dev else config.synth_lines)


def _annotated(
    root: Path, config: TrainConfig, card: ModelCard
) -> tuple[AnnotatedLines, AnnotatedLines | None]:
    augment = Augment(config.augment) if config.augment else None
    train = AnnotatedLines(_checked(root, "train", config, card), card, augment)
    if not has_annotations(root, "dev"):
        return train, None
    dev = AnnotatedLines(_checked(root, "dev", config, card), card)
    if distributed.is_first():
        warn_of_shared(dev.data, train.data)
    return train, dev


def _guessed(config: TrainConfig, card: ModelCard) -> AnnotatedLines:
    """The lines of ``unlabelled`` that the teacher is sure of and the reader can learn."""
    file = pseudo_labels(config)
    data = check(file, card, steps_of(card), root=config.unlabelled)
    data.demand_good(skip_bad=True)
    if data.defects and distributed.is_first():
        logger.warning(
            "%s: %d lines are left out, the first because: %s",
            file, len(data.defects), data.defects[0].detail,
        )  # fmt: skip
    return AnnotatedLines(data, card, Augment(config.augment) if config.augment else None)


def image_root(config: TrainConfig, file: Path) -> Path | None:
    """Returns the folder of the pictures of an annotation file; None if they are beside it.

    Raises:
        CrnnError: there is no such folder.
    """
    if config.image_root is None or file.parent != config.dataset_root:
        return None
    if not config.image_root.is_dir():
        raise CrnnError(f"--image-root {config.image_root}: no such folder")
    return config.image_root


def warn_of_shared(dev: DataSet, train: DataSet) -> None:
    """Say so if lines that are validated on were trained on."""
    if count := dev.shared_with(train):
        logger.warning(
            "%d of %d pictures of %s are in %s, too: their accuracy says nothing about new lines",
            count, len(dev), dev.annotations.file, train.annotations.file,
        )  # fmt: skip


def _checked(root: Path, split: str, config: TrainConfig, card: ModelCard) -> DataSet:
    file = find_annotations(root, split)
    data = check(file, card, steps_of(card), root=image_root(config, file))
    data.demand_good(skip_bad=config.skip_bad)
    if distributed.is_first() and (count := right_to_left(data, card)):
        logger.warning("%s: %d %s", data.annotations.file, count, VISUAL_ORDER)
    if data.defects and distributed.is_first():
        quarantine = config.directory / f"quarantine-{root.resolve().name}-{split}.txt"
        write_lines(quarantine, [str(defect) for defect in data.defects])
        logger.warning(
            "%s: %d lines are left out, see %s",
            data.annotations.file, len(data.defects), quarantine,
        )  # fmt: skip
    return data


def write_lines(path: Path, lines: list[str]) -> None:
    """Write a text file whole or not at all."""
    text = "".join(f"{line}\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: part.write_text(text, "utf-8", "surrogateescape"))


class _First:
    """The first few lines of a source."""

    endless = False

    def __init__(self, source: Source, count: int) -> None:
        self.name = f"first {count} of {source.name}"
        self.source = source
        self.count = min(count, len(source))
        self.widths = None if source.widths is None else source.widths[: self.count]
        self.line = source.line
        self.where = source.where

    def __len__(self) -> int:
        return self.count
