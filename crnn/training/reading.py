"""Read a data set with a model and compare."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from crnn.data.loader import Batch, reading_batches
from crnn.data.parts import in_parts
from crnn.data.sources import Source
from crnn.metrics import Scores, score
from crnn.training import distributed
from crnn.training.stopping import StopRequested
from crnn.workers import WorkerDiedError
from crnn_runtime.decode.greedy import decode_greedy
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """The texts that a model read on a data set.

    Attributes:
        scores: how well.
        indices: of the lines in their source.
        truths: what is written on them.
        texts: what was read.
        failures: messages about lines whose image could not be read.
    """

    scores: Scores
    indices: list[int]
    truths: list[str]
    texts: list[str]
    failures: list[str]


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    source: Source,
    card: ModelCard,
    *,
    batch_size: int = 64,
    workers: int = 0,
    precision: str = "fp32",
    check: Callable[[], None] = lambda: None,
) -> Reading:
    """Read every line of a source, shared out among the processes of a run.

    Args:
        model: (N, C, H, W) → log-probabilities (N, T, C); left in evaluation mode.
        source: the lines.
        card: of the model.
        batch_size: lines per forward pass; on CPUs wide ones are fewer.
        workers: processes that load lines.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        check: is called between batches; it raises to stop all processes.

    Raises:
        WorkerDiedError: a process that loads lines was killed.
    """
    model.eval()
    device = next(model.parameters()).device
    rows: list[tuple[int, str, str]] = []
    failures: list[str] = []
    batches = reading_batches(
        source,
        card,
        batch_size=batch_size,
        shard=(distributed.rank(), distributed.world_size()),
        workers=workers,
    )
    problem: Exception | None = None
    try:
        for batch in batches:
            check()
            failures += batch.failures
            for part, _ in in_parts(batch, device):
                with distributed.autocast(device, precision):
                    log_probs = model(part.images.to(device))
                rows += _rows(log_probs, part, card.alphabet)
    except (StopRequested, WorkerDiedError) as error:
        problem = error
    distributed.demand_of_all(problem)
    rows = sorted(distributed.gathered(rows))
    return _reading(rows, distributed.gathered(failures))


def _rows(log_probs: torch.Tensor, batch: Batch, alphabet: Alphabet) -> list[tuple[int, str, str]]:
    """Index, truth and text of each line."""
    texts = _decode(log_probs, batch, alphabet)
    return [
        (index, truth, text)
        for index, truth, text in zip(
            batch.indices.tolist(), _truths(batch, alphabet), texts, strict=True
        )
        if index >= 0  # the stand-in of a batch that failed as a whole
    ]


def _reading(rows: Sequence[tuple[int, str, str]], failures: list[str]) -> Reading:
    truths = [truth for _, truth, _ in rows]
    texts = [text for _, _, text in rows]
    return Reading(
        scores=score(truths, texts),
        indices=[index for index, _, _ in rows],
        truths=truths,
        texts=texts,
        failures=failures,
    )


def _decode(log_probs: torch.Tensor, batch: Batch, alphabet: Alphabet) -> list[str]:
    best, ids = log_probs.float().max(dim=-1)
    return decode_greedy(ids.cpu().numpy(), best.cpu().numpy(), batch.steps.numpy(), alphabet)


def _truths(batch: Batch, alphabet: Alphabet) -> list[str]:
    ends = np.cumsum(batch.lengths.numpy())
    codes = batch.targets.numpy()
    return [alphabet.decode(part.tolist()) for part in np.split(codes, ends[:-1])]
