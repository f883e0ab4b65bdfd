"""Read weights of this project and of others.

PyTorch files are only ever read with ``weights_only=True``: a pickle cannot run code.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from crnn.backbones import BACKBONES, backbone_class
from crnn.checkpoints.checkpoint import Checkpoint
from crnn.checkpoints.fit import (
    CLASSIFIER,
    check_finite,
    check_fits,
    expected_shapes,
    in_order,
    is_counter,
)
from crnn.checkpoints.names import foreign_card, in_its_size, our_names
from crnn.checkpoints.ppocr_names import from_transformers, transformers_arch
from crnn.checkpoints.safetensors_file import read_safetensors
from crnn.model import CRNN, default_card
from crnn.plainfile import read_plain
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.alphabet import Alphabet, AlphabetSource, fitting_alphabet
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.model_file import looks_like
from crnn_runtime.readers import find_model

logger = logging.getLogger(__name__)

# Put in front of every name by DataParallel and by torch.compile.
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")


def load_checkpoint(
    path: str | Path, *, arch: str | None = None, alphabet: AlphabetSource | None = None
) -> Checkpoint:
    """Read a checkpoint of this project or of one whose weights it understands.

    An ONNX file must give the same probabilities as the network that takes its weights.

    Args:
        path: the file, or the name of a reader.
        arch: the architecture it must have; None takes what the file says, or
            recognises it by the names of the tensors.
        alphabet: the characters, or a file that is read as the classes demand; needed
            where the file has no card; where it has one, both must agree.

    Raises:
        ModelError: missing, empty, damaged, no checkpoint, holding code, of
            another architecture or alphabet, or with tensors that do not fit.
        MissingDependencyError: an ONNX file, and onnx or onnxruntime is not installed; or
            the reader of that name is not.
    """
    path = find_model(path)
    if arch is not None:
        backbone_class(arch)
    if looks_like(path, "onnx"):
        from crnn.checkpoints.onnx_file import load_onnx  # noqa: PLC0415 (another extra)

        return load_onnx(path, arch, alphabet)
    is_safe = looks_like(path, "safetensors")
    content: dict[str, Any] = read_safetensors(path) if is_safe else read_plain(path)
    if is_safe or "state_dict" not in content:  # meijieru's are nothing else
        content = {"state_dict": content}
    tensors = _unwrapped(path, content["state_dict"])
    if from_elsewhere := transformers_arch(tensors):
        try:
            tensors = from_transformers(from_elsewhere, tensors)
        except (KeyError, RuntimeError) as error:  # a branch without its norm, or of another shape
            raise ModelError(f"{path} does not fit {from_elsewhere}: {error}") from error
    found = content.get("arch") or from_elsewhere or _recognise(path, tensors, arch)
    if not isinstance(found, str):
        raise ModelError(f"{path} holds the architecture {found!r}: known {', '.join(BACKBONES)}")
    try:
        backbone_class(found)
    except CrnnError as error:
        raise ModelError(f"{path}: {error}") from error
    if arch not in (None, found, found.partition("-")[0]):
        raise ModelError(f"{path} holds a {found}, not the {arch} asked for")
    state_dict = our_names(found, tensors)
    if is_safe:
        state_dict = in_order(found, state_dict)
    check_fits(path, found, state_dict)
    check_finite(path, state_dict)
    num_classes = state_dict[CLASSIFIER].shape[0]
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
    path: str | Path, arch: str | None = None, alphabet: AlphabetSource | None = None
) -> tuple[CRNN, ModelCard]:
    """Read a checkpoint as a reader in evaluation mode, with its card.

    Raises:
        ModelError: see `load_checkpoint`; or no alphabet is known.
    """
    checkpoint = load_checkpoint(path, arch=arch, alphabet=alphabet)
    if checkpoint.card is None:
        raise ModelError(
            f"{path} does not say its alphabet: give --alphabet with the "
            f"{checkpoint.num_classes - 1} characters of its {checkpoint.num_classes} classes "
            "(for a start --init-alphabet)"
        )
    return checkpoint.build(), checkpoint.card


def _unwrapped(path: Path, tensors: object) -> dict[str, Tensor]:
    if not isinstance(tensors, dict) or not tensors:
        raise ModelError(f"{path} is not a checkpoint: it holds no state_dict of tensors")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ModelError(f"{path} is not a checkpoint: its entry {name!r} is not a tensor")
    return {_WRAPPERS.sub("", name): tensor for name, tensor in tensors.items()}


def _recognise(path: Path, tensors: Mapping[str, Tensor], asked: str | None) -> str:
    for family in BACKBONES:
        ours = our_names(family, tensors)
        arch = in_its_size(family, ours)
        if {n for n in ours if not is_counter(n)} == {
            n for n in expected_shapes(arch, ours) if not is_counter(n)
        }:
            return arch
    if asked is not None:  # let the comparison say what does not fit
        return asked
    raise ModelError(
        f"{path} says no architecture and its tensors fit none of {', '.join(BACKBONES)}"
    )


def _card(
    path: Path, text: object, arch: str, num_classes: int, source: AlphabetSource | None
) -> ModelCard | None:
    try:
        alphabet = None if source is None else fitting_alphabet(source, num_classes)
    except CrnnError as error:
        own = ", and has an alphabet of its own: leave it out" if text else ""
        raise ModelError(f"{path}: {error}{own}") from error
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
                f"the one of {len(alphabet)} given: leave it out"
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
        card = default_card(arch, alphabet, **foreign_card(arch))
    if card.num_classes != num_classes:
        raise ModelError(
            f"{path} has {num_classes} classes, but the alphabet's {len(card.alphabet)} "
            f"characters and the blank make {card.num_classes}"
        )
    return card
