"""Computes the loss that a run minimises, from a batch and the run's progress.

The curriculum is here and nowhere else: which loss a batch has at which point of a run, and
over which classes it is taken.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from crnn.data.loader import Batch
from crnn.few_classes import NOTHING, few_log_probs, uncompiled, with_rest
from crnn.model import CRNN
from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn.training.objective.loss import (
    chosen_steps,
    ctc_loss,
    own_classes,
    placed_loss,
    steps_loss,
)
from crnn.training.objective.teacher import Advice, Teacher, divergence
from crnn_runtime.errors import CrnnError

MANY_CLASSES = 1000
"""From so many on a loss looks at `own_classes` alone."""


class Objective(nn.Module):
    """The loss of a reader on a batch, at a point of the run.

    `DistributedDataParallel` wraps the objective; ``--compile`` compiles its backbone. By progress:

    1. up to ``align_first``: the time steps on which characters are centred, and some blanks
       (`steps_loss`);
    2. up to ``align``: CTC and, fading, the places of the characters (`placed_loss`);
    3. from there on: CTC alone.

    From 2 on a teacher's distribution may be followed, too (`crnn.training.objective.teacher`).

    Args:
        reader: whose weights are learnt.
        config: of the run.
        teacher: that the reader stays close to.
    """

    def __init__(self, reader: CRNN, config: TrainConfig, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.reader, self.teacher = reader, teacher
        # Not the loss: it changes with progress, and Dynamo would compile it anew for each step.
        self.columns = _compiled(reader.columns) if config.compile else reader.columns
        self.align_first, self.align = config.align_first, config.align
        self.precision = config.precision
        self.teacher_weight = config.teacher_weight

    def forward(self, batch: Batch, progress: float) -> Tensor:
        """The loss, one number.

        Args:
            batch: on the reader's device.
            progress: of the run, 0 to 1.
        """
        if progress < self.align_first:
            return self._loss_of_steps(batch)
        classes, among = None, batch
        if self.reader.num_classes >= MANY_CLASSES:
            classes, among = own_classes(batch)
        with distributed.autocast(batch.images.device, self.precision):
            advice = self._advice(batch, classes)
            log_probs, advised = self._log_probs(batch.images, classes, advice)
        loss = self._loss(log_probs, among, progress)
        if advice is not None:
            loss = loss + self.teacher_weight * divergence(advice, advised, batch)
        return loss

    def _advice(self, batch: Batch, classes: Tensor | None) -> Advice | None:
        if self.teacher is None:
            return None
        frames = self.reader.backbone.time_steps(batch.images.shape[3])
        return self.teacher(batch, classes, frames)  # type: ignore[no-any-return]

    def _log_probs(
        self, images: Tensor, classes: Tensor | None, advice: Advice | None
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities (N, T, K) of the loss's classes, and of the advice's with the rest."""
        advised = None if advice is None else advice.classes
        if classes is None:
            everything = self.reader.classified(self.columns(images))
            return everything, everything if advised is None else _picked(everything, advised)
        columns, layer = self.columns(images), self.reader.classifier  # (N, T, F)
        if advised is None:
            found = with_rest(few_log_probs(columns, layer, classes))
            return found, found
        own = classes[:, None].expand(-1, columns.shape[1], -1)
        both = few_log_probs(columns, layer, torch.cat([own, advised], dim=-1))
        count = classes.shape[1]
        return with_rest(both[:, :, :count]), with_rest(both[:, :, count:])

    def _loss(self, log_probs: Tensor, batch: Batch, progress: float) -> Tensor:
        if progress < self.align:
            faded = (progress - self.align_first) / (self.align - self.align_first)
            return placed_loss(log_probs, batch, 1 - faded)
        return ctc_loss(log_probs, batch)

    def _loss_of_steps(self, batch: Batch) -> Tensor:
        """No CTC yet, and cheap: the other time steps are not even classified."""
        frames = self.reader.backbone.time_steps(batch.images.shape[3])
        steps = chosen_steps(batch, frames)
        with distributed.autocast(batch.images.device, self.precision):
            columns = self.columns(batch.images).flatten(0, 1)  # (N * T, F)
            scores = self.reader.classifier(columns[steps.indices])
            log_probs = scores.float().log_softmax(-1)  # (K, C)
        return steps_loss(log_probs, steps)


def _compiled(columns: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    compiled = torch.compile(columns)

    def call(images: Tensor) -> Tensor:
        try:
            return compiled(images)
        except TorchDynamoException as error:
            reason = str(getattr(error, "inner_exception", error)).strip().splitlines()[0]
            raise CrnnError(f"--compile: {reason}: mend that, or leave --compile out") from error

    return call


@uncompiled
def _picked(log_probs: Tensor, classes: Tensor) -> Tensor:
    """Some of all classes, and the rest together: (N, T, C) -> (N, T, K + 1)."""
    found = log_probs.gather(2, classes.clamp(min=0))
    return with_rest(found.masked_fill(classes < 0, NOTHING))
