"""Classes that a start lacks, fitted to drawn lines, while all else stays as it is.

The columns of a trained reader tell its new characters apart nearly as well as its old ones;
what is missing are rows of the classifier. With everything else frozen these rows are a
multinomial logistic regression over the columns on which the new characters are seen, against
one class of all that the reader knows, whose score no longer changes. So the lines are read
once, and what the reader read before it reads after, except where a new class says otherwise.
Figures are in benchmarks/NOTES.md.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crnn.data.loader import Batch
from crnn.model import CRNN
from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)

_BLANK = 0.9
"""Probability of the blank from which on a step is one of many that show nothing."""
_BLANK_SHARE = 0.08
"""The share of the steps showing nothing that are kept, each counted for all of its kind."""
_REACH = 0.55
"""The distance from a line's middle, in heights of the line, up to which a character can be seen.
"""
_AGAINST = 8.0
"""Weight of a step that shows what is known beside one that shows a new character."""
_STEPS, _BATCH, _RATE = 1500, 4096, 0.02
_PULL = 1e-5
"""Towards the rows that the fit begins with: for characters that are hardly ever drawn."""


class Columns(NamedTuple):
    """Columns of many lines.

    Attributes:
        features: (K, F) float16.
        classes: (K,) int64, 1 + the place of a new class, 0 for what is known.
        known: (K,) float32, score of all that the reader knows: its log-sum-exp.
        weights: (K,) float32, how many columns of its kind each stands for.
    """

    features: Tensor
    classes: Tensor
    known: Tensor
    weights: Tensor


@torch.no_grad()
def fit_new_classes(model: CRNN, fresh: Sequence[int], batches: Iterable[Batch]) -> None:
    """Fit the rows of some classes; no other weight of the reader changes.

    Args:
        model: the reader, in evaluation mode for the time of the call.
        fresh: codes of the classes.
        batches: lines that know where their characters are, on the reader's device.

    Raises:
        CrnnError: no line shows one of the classes at a place that is known.
    """
    was_training = model.training
    model.eval()
    parts = [columns_of(model, fresh, batch) for batch in batches]
    model.train(was_training)
    seen = Columns(*(torch.cat(each) for each in zip(*parts, strict=True)))
    shown = torch.bincount(seen.classes, minlength=len(fresh) + 1)[1:]
    if not shown.any():
        raise CrnnError(
            "--fit-new: no line shows a new character at a place that is known: draw them, with "
            "--synth, and lift them in a recipe's [synth_options]"
        )
    logger.info(
        "%d new classes are fitted to %d columns of %d; %d are in no line and stay",
        len(fresh), int(shown.sum()), len(seen.classes), int((shown == 0).sum()),
    )  # fmt: skip
    rows = torch.cat([model.classifier.weight[fresh], model.classifier.bias[fresh, None]], 1)
    fitted = _fitted(rows, seen)
    drawn = torch.tensor(fresh, device=rows.device)[shown > 0]
    model.classifier.weight[drawn] = fitted[shown > 0, :-1]
    model.classifier.bias[drawn] = fitted[shown > 0, -1]


def columns_of(model: CRNN, fresh: Sequence[int], batch: Batch) -> Columns:
    """The columns of a batch that the fit looks at.

    A new character is where, between the middles of its neighbours, the reader is least
    sure to see nothing, and on the steps beside it where it sees something, too.

    Args:
        model: in evaluation mode.
        fresh: codes of the new classes.
        batch: on the model's device.
    """
    features = model.columns(batch.images)  # (N, T, F)
    scores = model.classifier(features).float()
    place = torch.zeros(model.num_classes, dtype=torch.int64, device=scores.device)
    place[fresh] = torch.arange(1, len(fresh) + 1, device=scores.device)
    known = scores.masked_fill(place > 0, -torch.inf).logsumexp(-1)  # (N, T)
    blank = (scores[:, :, 0] - known).exp()
    reach = _REACH * batch.images.shape[2] * features.shape[1] / batch.images.shape[3]
    classes = torch.zeros(known.shape, dtype=torch.int64, device=scores.device)
    lengths = batch.lengths.tolist()
    lines = zip(
        torch.split(batch.targets, lengths), torch.split(batch.columns, lengths), strict=True
    )
    for line, (targets, columns) in enumerate(lines):
        for step, code in _seen(place[targets].tolist(), columns.tolist(), blank[line], reach):
            classes[line, step] = code
    valid = torch.arange(features.shape[1], device=scores.device) < batch.steps[:, None]
    is_nothing = (blank >= _BLANK) & (classes == 0)
    kept = valid & (~is_nothing | (torch.rand(known.shape).to(known.device) < _BLANK_SHARE))
    weights = torch.where(is_nothing, 1 / _BLANK_SHARE, 1.0)
    return Columns(features[kept].half(), classes[kept], known[kept], weights[kept])


def _seen(
    places: list[int], columns: list[int], blank: Tensor, reach: float
) -> Iterable[tuple[int, int]]:
    """Pairs of a step and of the new class that a line shows on it."""
    for number, (code, middle) in enumerate(zip(places, columns, strict=True)):
        if code == 0 or middle < 0:
            continue
        first, last = max(0.0, middle - reach), min(len(blank) - 1.0, middle + reach)
        if number > 0:
            first = max(first, (columns[number - 1] + middle) / 2)
        if number + 1 < len(columns):
            last = min(last, (columns[number + 1] + middle) / 2)
        low, high = min(middle, round(first + 0.49)), max(middle, round(last - 0.49))
        best = low + int(blank[low : high + 1].argmin())
        yield best, code
        for step in (best - 1, best + 1):
            if low <= step <= high and blank[step] < 0.5:
                yield step, code


def _fitted(start: Tensor, seen: Columns) -> Tensor:
    """(C, F + 1) rows, begun from ``start``."""
    weights = seen.weights * torch.where(seen.classes == 0, _AGAINST, 1.0)
    order = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        rows = start.clone().requires_grad_()
        optimizer = torch.optim.AdamW([rows], lr=_RATE, weight_decay=0.0)
        for step in range(_STEPS):
            optimizer.param_groups[0]["lr"] = _RATE * (1 - step / _STEPS)
            some = torch.randint(len(weights), (_BATCH,), generator=order).to(start.device)
            scores = seen.features[some].float() @ rows[:, :-1].T + rows[:, -1]
            scores = torch.cat([seen.known[some, None], scores], dim=1)
            losses = F.cross_entropy(scores, seen.classes[some], reduction="none") * weights[some]
            loss = losses.sum() / weights[some].sum() + _PULL * (rows - start).square().sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return rows.detach()
