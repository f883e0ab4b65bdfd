"""A frozen reader that the one in training stays close to.

Fine-tuning forgets what its lines do not show. Drawn to the distribution of a frozen reader,
most often of its own start, a reader keeps what it need not change (Li and Hoiem 2016,
Learning without Forgetting, arXiv 1606.09282; Hinton et al. 2015, arXiv 1503.02531).
"""

import logging
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crnn.backbones import backbone_class
from crnn.checkpoints import load_model
from crnn.data.loader import Batch
from crnn.few_classes import few_log_probs, top_log_probs, uncompiled, with_rest
from crnn.model import CRNN
from crnn.training.config import TrainConfig
from crnn.training.config.optimisation import INIT, TeacherLines
from crnn.training.start.transfer import match_alphabets
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.card import ModelCard

logger = logging.getLogger(__name__)

_GREY = (0.299, 0.587, 0.114)


class Advice(NamedTuple):
    """A teacher's outputs for the time steps of a batch.

    Attributes:
        classes: (N, T, K) int64, of the student, -1 where there are fewer; None if they are
            those of each line's text, which the student looks at anyway.
        log_probs: (N, T, K + 1) float32, of these classes and of all others together.
        weights: (N, T) float32, 1 where the student follows, else 0.
    """

    classes: Tensor | None
    log_probs: Tensor
    weights: Tensor


class Teacher(nn.Module):
    """A frozen reader, seen by a student of perhaps another alphabet and another input.

    Classes are matched by character. Both distributions are compared over classes that both
    have, with one more entry for all others together.

    Args:
        reader: whose weights stay.
        card: of the reader.
        student: card of the reader in training.
        top: compare the teacher's likeliest classes of each time step, so many; 0
            compares the classes of the line's text, or all, see `forward`.
        lines: the lines on which the student follows.

    Raises:
        CrnnError: the teacher's time steps are not the student's.
    """

    def __init__(
        self,
        reader: CRNN,
        card: ModelCard,
        student: ModelCard,
        *,
        top: int = 0,
        lines: TeacherLines = "all",
    ) -> None:
        super().__init__()
        self.reader = reader.eval().requires_grad_(False)
        self.card, self.student, self.lines = card, student, lines
        self.scale = _scale(card, student)
        kept = [(0, 0), *match_alphabets(card.alphabet, student.alphabet).kept]
        mine, theirs = torch.tensor([code for _, code in kept]), torch.tensor([c for c, _ in kept])
        self.top = min(top, len(kept))
        # Codes of the student -> mine, and back; -1 where the other has none.
        self.codes = nn.Buffer(_map(theirs, mine, student.num_classes), persistent=False)
        self.back = nn.Buffer(_map(mine, theirs, card.num_classes), persistent=False)

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in evaluation mode: the norms keep their statistics."""
        return super().train(False)

    @uncompiled
    @torch.no_grad()
    def forward(self, batch: Batch, classes: Tensor | None, frames: int) -> Advice:
        """Read a batch.

        Args:
            batch: of the student, on the same device.
            classes: (N, K) the student's, those of each line's text, see `own_classes`;
                None takes all that both have.
            frames: T of the student.
        """
        columns = self.reader.columns(self._seen(batch.images))[:, :frames]  # (N, T, F)
        layer, missing = self.reader.classifier, frames - columns.shape[1]
        inside = torch.arange(columns.shape[1], device=columns.device) < batch.steps[:, None]
        weights = F.pad(self._follows(batch)[:, None] * inside, (0, missing))
        advised = None
        if self.top:
            mine, log_probs = top_log_probs(columns, layer, self.back >= 0, self.top)
            advised = F.pad(self.back[mine], (0, 0, 0, missing))
        elif classes is None:
            shared = (self.codes >= 0).nonzero()[:, 0]
            advised = shared.expand(len(columns), frames, -1)
            log_probs = few_log_probs(columns, layer, self.codes[shared].expand(len(columns), -1))
        else:
            mine = torch.where(classes >= 0, self.codes[classes.clamp(min=0)], -1)
            log_probs = few_log_probs(columns, layer, mine)
        return Advice(advised, F.pad(with_rest(log_probs), (0, 0, 0, missing)), weights)

    def _follows(self, batch: Batch) -> Tensor:
        """The lines that count: a teacher cannot read a character that it does not have."""
        count = len(batch.lengths)
        owners = torch.arange(count, device=batch.lengths.device).repeat_interleave(batch.lengths)
        follows = torch.ones(count, device=batch.lengths.device)
        follows[owners[self.codes[batch.targets] < 0]] = 0.0
        if self.lines != "all":
            follows *= (batch.sources == 0) == (self.lines == "main")
        return follows

    def _seen(self, images: Tensor) -> Tensor:
        """The student's input as the teacher's: its colours, its size."""
        if self.scale is not None:
            height, width = images.shape[2:]
            size = (round(height * self.scale[0]), max(1, round(width * self.scale[1])))
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        if _colours(self.card) == _colours(self.student):
            return images
        light = images * _per_channel(self.student.std, images)
        light = light + _per_channel(self.student.mean, images)
        light = _recoloured(light, self.student.color, self.card.color)
        return (light - _per_channel(self.card.mean, images)) / _per_channel(self.card.std, images)


def load_teacher(config: TrainConfig, student: ModelCard) -> Teacher | None:
    """The teacher that a run follows, if it follows one.

    Args:
        config: of the run.
        student: card of the reader in training.

    Raises:
        CrnnError: it cannot be read, or its time steps are not the student's.
    """
    if config.teacher is None or config.followed_on == "none":
        return None
    is_start = config.teacher == INIT
    path = config.init if is_start else Path(config.teacher)
    assert path is not None, "checked before"
    try:
        reader, card = load_model(path, alphabet=config.init_alphabet if is_start else None)
    except ModelError as error:
        raise CrnnError(f"--teacher: {error}") from error
    try:
        teacher = Teacher(reader, card, student, top=config.teacher_top, lines=config.followed_on)
    except CrnnError as error:
        raise CrnnError(f"--teacher {path}: {error}") from error
    known = int((teacher.codes >= 0).sum()) - 1
    logger.info("teacher %s: knows %d of %d characters", path, known, len(student.alphabet))
    if teacher.scale is None and card.height != student.height:
        logger.info("the teacher reads lines of height %d, not %d", student.height, card.height)
    return teacher


def divergence(advice: Advice, log_probs: Tensor, batch: Batch) -> Tensor:
    """From the teacher to the student: Kullback-Leibler, summed over steps, per character.

    Args:
        advice: of the teacher.
        log_probs: (N, T, K + 1), of the student, of the same classes.
        batch: the sum is divided by the characters of all its lines, on which the student
            follows or not.
    """
    per_step = (advice.log_probs.exp() * (advice.log_probs - log_probs)).sum(-1)  # (N, T)
    return (per_step * advice.weights).sum() / batch.lengths.sum().clamp(min=1)


def _scale(card: ModelCard, student: ModelCard) -> tuple[float, float] | None:
    """Factors of height and width from the student's input to the teacher's; None: as it is."""
    tall = card.height / student.height
    if card.width is not None and student.width is not None:
        wide = card.width / student.width
    elif card.width is None:
        wide = tall
    else:
        raise CrnnError(
            f"this teacher stretches every line to width {card.width}, so that its time steps are "
            f"not the reader's: give --width {card.width}, or another teacher"
        )
    if (tall, wide) != (1, 1) and _has_steps_of(card, student, wide):
        return tall, wide
    least = backbone_class(card.arch).min_height
    if not _has_steps_of(card, student, 1) or student.height < least:
        raise CrnnError(
            f"this teacher has a time step every {card.time_stride} pixels at height "
            f"{card.height}, the reader every {student.time_stride} at {student.height}: "
            "a teacher must have the reader's time steps"
        )
    return None


def _has_steps_of(card: ModelCard, student: ModelCard, wide: float) -> bool:
    """Whether the time steps are the student's on lines that are so much wider."""
    apart = card.time_origin / wide - student.time_origin
    is_as_far = abs(card.time_stride - wide * student.time_stride) < 1e-6
    return is_as_far and abs(apart) <= student.time_stride / 2


def _map(sources: Tensor, targets: Tensor, size: int) -> Tensor:
    codes = torch.full((size,), -1)
    codes[sources] = targets
    return codes


def _colours(card: ModelCard) -> tuple[object, ...]:
    return card.color, card.mean, card.std


def _per_channel(values: tuple[float, ...], like: Tensor) -> Tensor:
    return like.new_tensor(values)[:, None, None]


def _recoloured(images: Tensor, old: str, new: str) -> Tensor:
    if old == new:
        return images
    if old == "gray":
        return images.expand(-1, 3, -1, -1)
    if new == "gray":
        weights = _GREY if old == "rgb" else _GREY[::-1]
        return (images * _per_channel(weights, images)).sum(1, keepdim=True)
    return images.flip(1)
