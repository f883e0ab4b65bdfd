"""Between a reader's start and what fine-tuning made of it.

The mean of both sets of weights often reads the new lines as well as the fine-tuned reader
and all others as well as the start (Wortsman et al. 2022, Robust Fine-Tuning of Zero-Shot
Models, arXiv 2109.01903, "WiSE-FT").
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from crnn.checkpoints import load_checkpoint
from crnn.model import CRNN, build_model, load_weights
from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn.training.reading import Reading
from crnn.training.start.transfer import init_weights
from crnn.training.state import BEST, LAST, State, save_weights
from crnn_runtime.files import write_atomically

TUNED = "tuned.pth"
"""The best reader as training left it, where `BEST` is a blend."""


class Blend(NamedTuple):
    """A reader between the start and the fine-tuned one.

    Attributes:
        share: of the fine-tuned weights, 0 to 1.
        model: the reader.
        readings: of every validation set, by name.
    """

    share: float
    model: CRNN
    readings: dict[str, Reading]

    @property
    def accuracy(self) -> float:
        """Share of exact lines, the mean over the validation sets."""
        return sum(r.scores.exact for r in self.readings.values()) / len(self.readings)


def blend_best(
    run: State, config: TrainConfig, read: Callable[[CRNN, float], dict[str, Reading]]
) -> Blend:
    """Put the best blend in the place of the best reader, if one reads better.

    Every share is read with, and so is 1, the fine-tuned reader as it is. Among those that
    read alike the one nearest to the start is taken.

    Args:
        run: at its end.
        config: of the run, with ``init`` and ``blend``.
        read: a reader and its share → its readings of the validation sets.

    Returns:
        The best one.
    """
    assert config.init is not None, "checked before"
    device = next(run.model.parameters()).device
    start = build_model(run.card.arch, run.card.num_classes, run.card.channels)
    fresh = init_weights(start, run.card, config.init, config.init_alphabet).fresh
    tuned_file = _tuned(config.directory)
    tuned = load_checkpoint(tuned_file)
    best: Blend | None = None
    for share in sorted({*config.blend, 1.0}):
        weights = blended(start.state_dict(), tuned.state_dict, share, fresh)
        model = build_model(tuned.arch, tuned.num_classes, tuned.in_channels)
        load_weights(model, weights)
        model.to(device)
        blend = Blend(share, model, read(model, share))
        if best is None or blend.accuracy > best.accuracy:
            best = blend
    assert best is not None
    if distributed.is_first():
        target = config.directory / TUNED
        if tuned_file != target:
            write_atomically(target, lambda part: shutil.copyfile(tuned_file, part))
        accuracy = next(iter(best.readings.values())).scores.exact
        save_weights(run, config, BEST, best.model, blend=best.share, accuracy=accuracy)
    return best


def blended(
    start: Mapping[str, Tensor], tuned: Mapping[str, Tensor], share: float, fresh: list[int]
) -> dict[str, Tensor]:
    """Weights between two of the same shapes.

    Args:
        start: those of the start.
        tuned: the fine-tuned ones.
        share: of the fine-tuned ones, 0 to 1.
        fresh: rows of the classifier that the start does not have: the fine-tuned ones stay.
    """
    weights = {}
    for name, tensor in tuned.items():
        weights[name] = tensor.clone()
        if tensor.is_floating_point():
            weights[name] = torch.lerp(start[name], tensor, share)
        if name.startswith("classifier."):
            weights[name][fresh] = tensor[fresh]
    return weights


def _tuned(directory: Path) -> Path:
    """The best reader of the run that is not a blend itself."""
    best = directory / BEST
    if not best.is_file():
        return directory / LAST
    card = load_checkpoint(best).card
    assert card is not None, "written by a run"
    return directory / TUNED if "blend" in card.training else best
