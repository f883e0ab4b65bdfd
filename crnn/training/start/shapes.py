"""Start a classifier from what its characters look like."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crnn.model import CRNN
from crnn.synth.fonts.faces import Face, FontSet, load_faces
from crnn.synth.fonts.files import find_fonts
from crnn.synth.fonts.shapes import Shapes, glyph_shapes
from crnn.training.config import TrainConfig
from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)

_LOGIT = 16.0
"""Mean squared length of a class's weights: the right class then stands out of 6,000."""

_NO_SPREAD = 1e-4


def main_faces(config: TrainConfig) -> Sequence[Face]:
    """The faces that a run draws most of its lines in.

    Raises:
        CrnnError: there is no font.
    """
    sources = config.synth_sources()
    fonts = FontSet(load_faces(find_fonts(sources.get("fonts"))), split=sources.get("split", "all"))
    return fonts.main_faces


def start_from_shapes(model: CRNN, config: TrainConfig) -> None:
    """Make the classes of a fresh reader what the fonts of a run show.

    A network that must find out by itself which of thousands of directions belongs to
    which character spends tens of thousands of lines on it; here, characters that look
    alike begin close to each other, and a feature column only has to show the glyph.

    Raises:
        CrnnError: the architecture's features are no normalised points, or there is no font.
    """
    norm = model.backbone.layers[-1]
    if not isinstance(norm, nn.BatchNorm2d):
        raise CrnnError(
            f"--glyph-start needs features that a norm gives, as lite has: {config.arch} has none"
        )
    characters = config.alphabet.characters
    shapes = glyph_shapes(characters, main_faces(config), model.classifier.in_features)
    _set_classes(model.classifier, norm, shapes)
    logger.info("classes begin as %d of %d glyphs look", shapes.known.sum(), len(characters))


@torch.no_grad()
def _set_classes(classifier: nn.Linear, norm: nn.BatchNorm2d, shapes: Shapes) -> None:
    """Classes as Gaussians of one width around their points; blank is at the origin."""
    points = shapes.points.copy()
    spread = points[shapes.known].std(axis=0)
    # Nobody knows where the others belong: somewhere near the middle.
    unknown = np.random.default_rng(0).standard_normal((int((~shapes.known).sum()), len(spread)))
    points[~shapes.known] = unknown * spread / 2
    scale = np.sqrt(_LOGIT / max(np.square(points).sum(axis=1).mean(), 1e-12))
    weights = torch.from_numpy(points * np.float32(scale))
    spread *= np.float32(scale)
    # Fewer characters than dimensions: what glyphs leave free starts as in any reader.
    free = torch.from_numpy(spread < _NO_SPREAD)
    weights[:, free] = torch.randn(len(weights), int(free.sum())) * 0.01
    spread[free.numpy()] = 2.0
    classifier.weight[0] = 0
    classifier.weight[1:] = weights
    classifier.bias[0] = 0
    classifier.bias[1:] = -weights.square().sum(dim=1) / 2
    # Features begin half as spread as the classes: no early belief.
    norm.weight.copy_(torch.from_numpy(spread) / 2)
