"""Start from the weights of another reader, perhaps of another alphabet."""

import dataclasses
import logging
from pathlib import Path

import torch

from crnn.checkpoints import load_checkpoint
from crnn.folding import fold_norms
from crnn.model import CRNN
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.alphabet import Alphabet, AlphabetSource
from crnn_runtime.model.card import ModelCard

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Transfer:
    """The fate of the classifier's rows.

    Attributes:
        kept: (new code, old code) of characters that both alphabets have.
        new: characters whose rows start as the mean of the kept ones.
        fresh: their codes.
        dropped: characters of the old alphabet that the new one lacks.
    """

    kept: list[tuple[int, int]]
    new: list[str]
    fresh: list[int]
    dropped: list[str]

    def __str__(self) -> str:
        return (
            f"{len(self.kept)} characters kept, {len(self.new)} new{_some(self.new)}, "
            f"{len(self.dropped)} dropped{_some(self.dropped)}"
        )


def _some(characters: list[str]) -> str:
    if not characters:
        return ""
    return f" ({''.join(characters[:20])}{'…' if len(characters) > 20 else ''})"


def match_alphabets(old: Alphabet, new: Alphabet) -> Transfer:
    """Match the rows of two classifiers by character.

    A character with several codes keeps them in their order.
    """
    waiting: dict[str, list[int]] = {}
    for code, character in enumerate(old, start=1):
        waiting.setdefault(character, []).append(code)
    kept, fresh = [], []
    for code, character in enumerate(new, start=1):
        if waiting.get(character):
            kept.append((code, waiting[character].pop(0)))
        else:
            fresh.append(code)
    return Transfer(
        kept=kept,
        new=[new.characters[code - 1] for code in fresh],
        fresh=fresh,
        dropped=[character for character, codes in waiting.items() if codes],
    )


def new_codes(card: ModelCard, path: Path, alphabet: AlphabetSource | None = None) -> list[int]:
    """Codes of the characters of a card that a checkpoint lacks; none if it does not say its own.

    The arguments are those of `init_weights`.

    Raises:
        ModelError: see `load_checkpoint`.
    """
    start = load_checkpoint(path, arch=card.arch, alphabet=alphabet).card
    return match_alphabets(start.alphabet, card.alphabet).fresh if start else []


@torch.no_grad()
def init_weights(
    model: CRNN, card: ModelCard, path: Path, alphabet: AlphabetSource | None = None
) -> Transfer:
    """Take a checkpoint's weights into a new model, classifier rows by character.

    Args:
        model: the new one.
        card: of it.
        path: of the checkpoint, or the name of a reader.
        alphabet: of the checkpoint, where it holds none.

    Raises:
        CrnnError: the checkpoint is of another architecture or preprocessing, or
            does not say its alphabet and has another number of classes.
    """
    try:
        checkpoint = load_checkpoint(path, arch=card.arch, alphabet=alphabet)
    except ModelError as error:
        raise CrnnError(f"--init: {error}") from error
    if checkpoint.in_channels != card.channels:
        raise CrnnError(
            f"--init {path} reads {checkpoint.in_channels} channels, the new reader {card.channels}"
        )
    old = checkpoint.card.alphabet if checkpoint.card else None
    if old is None:
        if checkpoint.num_classes != card.num_classes:
            raise CrnnError(
                f"--init {path} does not say its alphabet: its {checkpoint.num_classes} classes "
                f"cannot be matched with the {card.num_classes} of the new one: give its "
                "dictionary with --init-alphabet"
            )
        logger.warning(
            "%s does not say its alphabet: its %d classes are taken for the entries of --alphabet, "
            "in their order", path, checkpoint.num_classes,
        )  # fmt: skip
        old = card.alphabet
    transfer = match_alphabets(old, card.alphabet)
    weights = {
        name: tensor
        for name, tensor in checkpoint.state_dict.items()
        if not name.startswith("classifier.")
    }
    fold_norms(model, weights)
    model.load_state_dict(weights, strict=False)
    targets = torch.tensor([0, *(new for new, _ in transfer.kept)])  # the blank stays the blank
    sources = torch.tensor([0, *(code for _, code in transfer.kept)])
    for name in ("weight", "bias"):
        row = getattr(model.classifier, name)
        kept = checkpoint.state_dict[f"classifier.{name}"][sources]
        if len(kept) > 1:  # what is new is no likelier than what is known
            row[:] = kept[1:].mean(0)
        row[targets] = kept
    logger.info("weights of %s: %s", path, transfer)
    return transfer
