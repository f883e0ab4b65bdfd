"""Checkpoints: ours, the original's ``.pth.tar`` and meijieru/crnn.pytorch's ``.pth``.

Ours is a dictionary with the original's keys (``arch``, ``epoch``,
``state_dict``, ``best_accuracy``, ``optimizer``), the model card as JSON under
``card`` and whatever the training needs to continue under ``extra``. Files are
only ever read with ``weights_only=True``: a pickle cannot run code.
"""

import dataclasses
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crnn.backbones import BACKBONES
from crnn.model import CRNN, backbone_class, build_model, default_card
from crnn.plainfile import read_plain, write_plain
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard

logger = logging.getLogger(__name__)

_CLASSIFIER = "classifier.weight"
# Put in front of every name by DataParallel and by torch.compile.
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint file holds, checked to fit its architecture.

    Attributes:
        arch: a key of `BACKBONES`.
        card: the reader's card; None if neither file nor caller knows the alphabet.
        state_dict: the weights, on the CPU, under this project's names.
        epoch: finished epochs.
        best_accuracy: the best validation accuracy so far.
        optimizer: state of the optimiser, or None.
        extra: whatever else the training saved.
    """

    arch: str
    card: ModelCard | None
    state_dict: dict[str, Tensor]
    epoch: int = 0
    best_accuracy: float = 0.0
    optimizer: dict[str, Any] | None = None
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Width of the classifier."""
        return self.state_dict[_CLASSIFIER].shape[0]

    @property
    def in_channels(self) -> int:
        """Channels that the first convolution reads."""
        return _in_channels(self.state_dict)

    def build(self) -> CRNN:
        """A model with these weights, in evaluation mode."""
        model = build_model(self.arch, self.num_classes, self.in_channels)
        model.load_state_dict(self.state_dict)
        return model.eval()


def save_checkpoint(
    path: str | Path,
    model: CRNN,
    card: ModelCard,
    *,
    epoch: int = 0,
    best_accuracy: float = 0.0,
    optimizer: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint whole or not at all, and only one that can be read back.

    Args:
        path: the file.
        model: the reader, without any wrapper.
        card: what it reads.
        epoch: finished epochs.
        best_accuracy: the best validation accuracy so far.
        optimizer: its ``state_dict()``.
        extra: tensors and plain values (numbers, strings, lists, dictionaries).

    Raises:
        CrnnError: the file cannot be written.
        ValueError: the card does not describe the model.
        TypeError: ``extra`` or ``optimizer`` holds something that is neither
            tensor nor plain value.
    """
    if card.num_classes != model.num_classes or card.channels != model.backbone.in_channels:
        raise ValueError(
            f"card of {card.num_classes} classes and {card.channels} channels for a model of "
            f"{model.num_classes} and {model.backbone.in_channels}"
        )
    content = {
        "arch": card.arch,
        "epoch": epoch,
        "state_dict": model.state_dict(),
        "best_accuracy": best_accuracy,
        "optimizer": optimizer,
        "card": card.to_json(),
        "extra": dict(extra or {}),
    }
    write_plain(Path(path), content)


def load_checkpoint(
    path: str | Path, *, arch: str | None = None, alphabet: Alphabet | None = None
) -> Checkpoint:
    """Read a checkpoint of any of the three kinds.

    Args:
        path: the file.
        arch: the architecture it must have; None takes what the file says, or
            recognises it by the names of the tensors.
        alphabet: the characters, needed where the file has no card; where it has
            one, both must agree.

    Raises:
        ModelError: missing, empty, damaged, no checkpoint, holding code, of
            another architecture or alphabet, or with tensors that do not fit.
    """
    path = Path(path)
    if arch is not None:
        backbone_class(arch)
    content = read_plain(path)
    if "state_dict" not in content:  # meijieru's are nothing else
        content = {"state_dict": content}
    tensors = _unwrapped(path, content["state_dict"])
    found = content.get("arch") or _recognise(path, tensors, arch)
    if not isinstance(found, str) or found not in BACKBONES:
        raise ModelError(f"{path} holds {found!r}, which is none of {', '.join(BACKBONES)}")
    if arch not in (None, found):
        raise ModelError(f"{path} holds a {found}, not the {arch} asked for")
    state_dict = BACKBONES[found].our_names(tensors)
    _check_fits(path, found, state_dict)
    _check_finite(path, state_dict)
    num_classes = state_dict[_CLASSIFIER].shape[0]
    return Checkpoint(
        arch=found,
        card=_card(path, content.get("card"), found, num_classes, alphabet),
        state_dict=state_dict,
        epoch=content.get("epoch") or 0,
        best_accuracy=content.get("best_accuracy") or 0.0,
        optimizer=content.get("optimizer"),
        extra=content.get("extra") or {},
    )


def load_model(
    path: str | Path, arch: str | None = None, alphabet: Alphabet | None = None
) -> tuple[CRNN, ModelCard]:
    """Read a checkpoint as a reader in evaluation mode, with its card.

    Raises:
        ModelError: see `load_checkpoint`; or no alphabet is known.
    """
    checkpoint = load_checkpoint(path, arch=arch, alphabet=alphabet)
    if checkpoint.card is None:
        raise ModelError(
            f"{path} does not say its alphabet: give --alphabet with the "
            f"{checkpoint.num_classes - 1} characters of its {checkpoint.num_classes} classes"
        )
    return checkpoint.build(), checkpoint.card


def _unwrapped(path: Path, tensors: object) -> dict[str, Tensor]:
    if not isinstance(tensors, dict) or not tensors:
        raise ModelError(f"{path} is not a checkpoint: it holds no state_dict of tensors")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ModelError(f"{path} is not a checkpoint: its entry {name!r} is not a tensor")
    return {_WRAPPERS.sub("", name): tensor for name, tensor in tensors.items()}


def _in_channels(state_dict: Mapping[str, Tensor]) -> int:
    return next(t.shape[1] for t in state_dict.values() if t.dim() == 4)


def _expected(arch: str, state_dict: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Names and shapes of the architecture, with the classes and channels that are there."""
    classifier = state_dict.get(_CLASSIFIER)
    num_classes = classifier.shape[0] if classifier is not None and classifier.dim() == 2 else 2
    convolutions = any(t.dim() == 4 for t in state_dict.values())
    in_channels = _in_channels(state_dict) if convolutions else None
    if in_channels not in (1, 3):
        in_channels = None
    with torch.device("meta"):
        model = build_model(arch, max(2, num_classes), in_channels)
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _is_counter(name: str) -> bool:
    # Absent before PyTorch 0.4.1, and of no use in evaluation.
    return name.endswith("num_batches_tracked")


def _recognise(path: Path, tensors: Mapping[str, Tensor], asked: str | None) -> str:
    for arch, backbone in BACKBONES.items():
        ours = backbone.our_names(tensors)
        if {n for n in ours if not _is_counter(n)} == {
            n for n in _expected(arch, ours) if not _is_counter(n)
        }:
            return arch
    if asked is not None:  # let the comparison say what does not fit
        return asked
    raise ModelError(
        f"{path} says no architecture and its tensors fit none of {', '.join(BACKBONES)}"
    )


def _check_fits(path: Path, arch: str, state_dict: dict[str, Tensor]) -> None:
    expected = _expected(arch, state_dict)
    for name, shape in expected.items():
        if _is_counter(name):
            state_dict.setdefault(name, torch.zeros(shape, dtype=torch.int64))
    problems = [f"{name} is missing" for name in expected if name not in state_dict]
    problems += [f"{name} is unknown" for name in state_dict if name not in expected]
    problems += [
        f"{name} has shape {tuple(tensor.shape)}, not {tuple(expected[name])}"
        for name, tensor in state_dict.items()
        if name in expected and tensor.shape != expected[name]
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ModelError(f"{path} does not fit {arch}: {problems[0]}{more}")


def _check_finite(path: Path, state_dict: Mapping[str, Tensor]) -> None:
    for name, tensor in state_dict.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(
                f"{path} holds values that are not finite in {name}: "
                "train again or take an earlier checkpoint"
            )


def _card(
    path: Path, text: object, arch: str, num_classes: int, alphabet: Alphabet | None
) -> ModelCard | None:
    if isinstance(text, str):
        try:
            card = ModelCard.from_json(text)
        except CrnnError as error:
            raise ModelError(f"{path}: {error}") from error
        if card.arch != arch:
            raise ModelError(f"{path} holds a {arch}, but its card is of a {card.arch}")
        if alphabet is not None and alphabet != card.alphabet:
            raise ModelError(
                f"{path} has its own alphabet of {len(card.alphabet)} characters, which is not "
                f"the one of {len(alphabet)} given: leave out --alphabet"
            )
    elif alphabet is None:
        return None
    else:
        if alphabet.sha256 == Alphabet.load("zh").sha256:
            # As many characters as the lists in circulation have, in another order: all fits.
            logger.warning(
                "%s: the shipped alphabet zh is this project's own; a checkpoint of the original "
                "toolkit needs the alphabet file it was trained with", path,
            )  # fmt: skip
        card = default_card(arch, alphabet, width=BACKBONES[arch].foreign_width)
    if card.num_classes != num_classes:
        raise ModelError(
            f"{path} has {num_classes} classes, but the alphabet's {len(card.alphabet)} "
            f"characters and the blank make {card.num_classes}"
        )
    return card
