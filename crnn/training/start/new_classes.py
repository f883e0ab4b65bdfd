"""Classes that a start lacks, begun from what the fonts show.

A trained reader has learnt, for thousands of characters, which row of its classifier goes
with which look of a feature column. That relation is nearly linear: fitted on the characters
that it knows, it gives the rows of characters that it has never seen (the idea of predicting
classifier weights from features, Gidaris and Komodakis 2018, arXiv 1804.09458, with ridge
regression in place of a network). Figures are in benchmarks/NOTES.md.
"""

import logging
import random
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crnn.checkpoints import load_model
from crnn.model import CRNN
from crnn.synth.fonts.faces import Face
from crnn.synth.fonts.glyphs import SizedFace
from crnn.training.config import TrainConfig
from crnn.training.start.shapes import main_faces
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.preprocess import to_input

logger = logging.getLogger(__name__)

_KNOWN = 1200
"""Characters of the start that the relation is fitted on, at most."""
_FAMILIES = 8
_EM = 0.72
"""The size in which glyphs are drawn, as a share of the height of a line."""
_RIDGE = 0.02
_BATCH = 128


@torch.no_grad()
def rows_from_glyphs(
    start: CRNN, card: ModelCard, characters: Sequence[str], faces: Sequence[Face]
) -> dict[str, Tensor]:
    """Rows of the classifier for characters that a reader lacks.

    Args:
        start: a trained reader, in evaluation mode.
        card: of the reader; pictures are drawn at its height and in its colours.
        characters: to make rows for, one code point each.
        faces: that draw them.

    Returns:
        Character → (F + 1,) weights and bias. Characters that no face draws are missing.
    """
    known = [c for c in card.alphabet.codes if len(c) == 1 and not c.isspace()]
    random.Random(0).shuffle(known)
    chosen = _one_of_each_family(faces, [*characters, *known[:_KNOWN]])
    shown = _columns(start, card, known[:_KNOWN], chosen)
    wanted = _columns(start, card, [c for c in characters if len(c) == 1], chosen)
    if not shown or not wanted:
        return {}
    codes = torch.tensor([card.alphabet.codes[c] for c in shown])
    layer = start.classifier
    rows = torch.cat([layer.weight[codes], layer.bias[codes, None]], dim=1).double()
    looks = torch.stack(list(shown.values())).double()
    middle, centre = looks.mean(0), rows.mean(0)
    looks, rows = looks - middle, rows - centre
    spread = looks.T @ looks
    # The fewer characters are known, the closer the answer stays to the mean of their rows.
    strength = _RIDGE * spread.trace() / len(spread) + 1e-9
    relation = torch.linalg.solve(
        spread + strength * torch.eye(len(spread)).double(), looks.T @ rows
    )
    return {c: ((look.double() - middle) @ relation + centre).float() for c, look in wanted.items()}


def _one_of_each_family(faces: Sequence[Face], characters: Sequence[str]) -> list[Face]:
    """The faces that draw most of the characters, of as many families."""
    best: dict[str, tuple[int, Face]] = {}
    for face in faces:
        count = sum(map(face.covers, characters))
        if count > best.get(face.family, (0, face))[0]:
            best[face.family] = count, face
    ranked = sorted(best.values(), key=lambda pair: -pair[0])
    return [face for _, face in ranked[:_FAMILIES]]


def _columns(
    start: CRNN, card: ModelCard, characters: Sequence[str], faces: Sequence[Face]
) -> dict[str, Tensor]:
    """Character → (F,) the feature column in which the reader sees it, averaged over faces."""
    pictures: list[NDArray[np.uint8]] = []
    owners: list[str] = []
    for face in faces:
        sized = SizedFace(face, round(_EM * card.height))
        for character in characters:
            if face.covers(character):
                picture = _picture(sized, character, card)
                if picture is not None:
                    pictures.append(picture)
                    owners.append(character)
    found: dict[str, list[Tensor]] = {}
    for first in range(0, len(pictures), _BATCH):
        part = slice(first, first + _BATCH)
        columns = start.columns(torch.from_numpy(to_input(pictures[part], card)))  # (N, T, F)
        blank = start.classifier(columns).log_softmax(-1)[:, :, 0]
        for owner, line, step in zip(owners[part], columns, blank.argmin(1), strict=True):
            found.setdefault(owner, []).append(line[step])
    return {character: torch.stack(seen).mean(0) for character, seen in found.items()}


def _picture(sized: SizedFace, character: str, card: ModelCard) -> NDArray[np.uint8] | None:
    """One character in the middle of a line, black on white: (H, W, channels); None without ink."""
    glyph = sized.glyph(character)
    if glyph.mask is None:
        return None
    height = card.height
    width = max(height + height // 4, card.width or card.min_width)
    rows, columns = (min(a, b) for a, b in zip(glyph.mask.shape, (height, width), strict=True))
    canvas = np.full((height, width), 255, np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    canvas[top : top + rows, left : left + columns] -= glyph.mask[:rows, :columns]
    return np.repeat(canvas[:, :, None], card.channels, axis=2)


def begin_new_classes(model: CRNN, config: TrainConfig, new: Sequence[str]) -> None:
    """Give the classes that a start lacks rows made from glyphs.

    Without fonts they stay the mean of the others, unless ``glyph_start`` asks for them.

    Args:
        model: the new reader, with the weights of ``config.init``.
        config: of the run.
        new: entries of its alphabet that the start lacks.

    Raises:
        CrnnError: glyphs are asked for, and there is no font.
    """
    assert config.init is not None
    try:
        faces = main_faces(config)
    except CrnnError as error:
        if config.glyph_start:
            raise
        logger.info("%d new classes begin as the mean of the others: %s", len(new), error)
        return
    start, card = load_model(config.init, alphabet=config.init_alphabet)
    rows = rows_from_glyphs(start, card, new, faces)
    with torch.no_grad():
        for character, row in rows.items():
            code = config.alphabet.codes[character]
            model.classifier.weight[code] = row[:-1]
            model.classifier.bias[code] = row[-1]
    logger.info("%d of %d new classes begin as fonts draw them", len(rows), len(new))
