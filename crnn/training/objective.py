"""What a run minimises: a batch and the run's progress to a loss.

The curriculum is here and nowhere else: which loss a batch has at which point of a run, and
over which classes it is taken.
"""

from torch import Tensor, nn

from crnn.data.loader import Batch
from crnn.few_classes import few_log_probs
from crnn.model import CRNN
from crnn.training import distributed
from crnn.training.config import TrainConfig
from crnn.training.loss import chosen_steps, ctc_loss, own_classes, steps_loss, taught_loss

MANY_CLASSES = 1000
"""From so many on a loss looks at `own_classes` alone."""


class Objective(nn.Module):
    """The loss of a reader on a batch, at a point of the run.

    This is what `DistributedDataParallel` wraps and ``torch.compile`` compiles. By progress:

    1. up to ``align_first``: the time steps on which characters are centred, and some blanks
       (`steps_loss`);
    2. up to ``align``: CTC and, fading, the places of the characters (`taught_loss`);
    3. from there on: CTC alone.

    Args:
        reader: whose weights are learnt.
        config: of the run.
    """

    def __init__(self, reader: CRNN, config: TrainConfig) -> None:
        super().__init__()
        self.reader = reader
        self.align_first, self.align = config.align_first, config.align
        self.precision = config.precision

    def forward(self, batch: Batch, progress: float) -> Tensor:
        """The loss, one number.

        Args:
            batch: on the reader's device.
            progress: of the run, 0 to 1.
        """
        if progress < self.align_first:
            return self._loss_of_steps(batch)
        log_probs, batch = self._log_probs(batch)
        if progress < self.align:
            faded = (progress - self.align_first) / (self.align - self.align_first)
            return taught_loss(log_probs, batch, 1 - faded)
        return ctc_loss(log_probs, batch)

    def _log_probs(self, batch: Batch) -> tuple[Tensor, Batch]:
        """(N, T, K) of the classes that the loss looks at, and the batch in their terms."""
        classes = None
        if self.reader.num_classes >= MANY_CLASSES:
            classes, batch = own_classes(batch)
        with distributed.autocast(batch.images.device, self.precision):
            if classes is None:
                log_probs: Tensor = self.reader(batch.images)
            else:
                layer = self.reader.classifier
                columns = self.reader.columns(batch.images)  # (N, T, F)
                log_probs = few_log_probs(columns, layer.weight, layer.bias, classes)
        return log_probs, batch

    def _loss_of_steps(self, batch: Batch) -> Tensor:
        """No CTC yet, and cheap: the other time steps are not even classified."""
        frames = self.reader.backbone.time_steps(batch.images.shape[3])
        steps = chosen_steps(batch, frames)
        with distributed.autocast(batch.images.device, self.precision):
            columns = self.reader.columns(batch.images).flatten(0, 1)  # (N * T, F)
            scores = self.reader.classifier(columns[steps.indices])
            log_probs = scores.float().log_softmax(-1)  # (K, C)
        return steps_loss(log_probs, steps)
