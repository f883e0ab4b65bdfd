"""Losses that look at the classes of their lines alone are those over all classes."""

import pytest
import torch
from torch import Tensor

from crnn.data.loader import Batch
from crnn.few_classes import few_log_probs, with_rest
from crnn.model import CRNN, build_model
from crnn.training.objective.loss import ctc_loss, own_classes, placed_loss

CLASSES = 1500


@pytest.fixture(scope="module")
def model() -> CRNN:
    torch.manual_seed(1)
    model = build_model("lite", CLASSES).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture
def batch() -> Batch:
    """Repeated characters, an empty line, a line of unknown places, one that cannot be aligned."""
    torch.manual_seed(2)
    lengths = torch.tensor([3, 6, 0, 2, 9])
    targets = torch.randint(1, CLASSES, (int(lengths.sum()),))
    targets[1], targets[5] = targets[0], targets[7]
    columns = torch.arange(len(targets)) * 2
    columns[9:11] = -1
    return Batch(
        images=torch.randn(5, 1, 32, 160),
        steps=torch.tensor([40, 40, 33, 20, 5]),
        targets=targets,
        lengths=lengths,
        columns=columns,
        indices=torch.arange(5),
        sources=torch.zeros(5, dtype=torch.int64),
        failures=[],
    )


def gradients(model: CRNN, batch: Batch, classes: Tensor | None, teaching: float) -> list[Tensor]:
    model.zero_grad()
    if classes is None:
        log_probs = model(batch.images)
    else:
        columns = model.columns(batch.images)
        log_probs = with_rest(few_log_probs(columns, model.classifier, classes))
    loss = placed_loss(log_probs, batch, teaching) if teaching else ctc_loss(log_probs, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    found = [parameter.grad for parameter in model.parameters()]
    return [loss.detach(), *(grad.clone() for grad in found if grad is not None)]


@pytest.mark.parametrize("teaching", [0.0, 0.4])
def test_loss_and_gradients_are_those_over_all_classes(
    model: CRNN, batch: Batch, teaching: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crnn.few_classes.CHUNK", CLASSES * 80)  # two lines at a time
    whole = gradients(model, batch, None, teaching)
    classes, among = own_classes(batch)
    few = gradients(model, among, classes, teaching)
    assert len(whole) == len(few) > 20
    for one, other in zip(whole, few, strict=True):
        assert (one - other).abs().max() <= 2e-4 * one.abs().max()


def test_in_half_precision_gradients_are_close(model: CRNN, batch: Batch) -> None:
    classes, among = own_classes(batch)
    with torch.autocast("cpu", torch.bfloat16):
        whole = gradients(model, batch, None, 0.4)
        few = gradients(model, among, classes, 0.4)
    for one, other in zip(whole, few, strict=True):
        assert (one - other).norm() <= 0.1 * one.norm()


def test_targets_are_places_among_the_classes_of_their_line(batch: Batch) -> None:
    classes, among = own_classes(batch)
    lines = torch.arange(5).repeat_interleave(batch.lengths)
    assert torch.equal(classes[lines, among.targets], batch.targets)
    assert (classes[:, 0] == 0).all()
    for row, length in zip(classes, batch.lengths, strict=True):
        named = row[row >= 0]
        assert len(named) == len(set(named.tolist())) <= length + 1
    assert among.steps is batch.steps


def test_a_batch_of_empty_lines_has_the_blank_alone(batch: Batch) -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    empty = batch._replace(lengths=torch.zeros(5, dtype=torch.int64), targets=nothing)
    classes, among = own_classes(empty)
    assert classes.tolist() == [[0]] * 5
    assert len(among.targets) == 0


def test_probabilities_of_own_classes_and_the_rest_are_one(model: CRNN) -> None:
    columns = torch.randn(2, 7, 96)
    classes = torch.tensor([[0, 5, 900], [0, 3, -1]])
    found = with_rest(few_log_probs(columns, model.classifier, classes))
    everything = model.classifier(columns).log_softmax(-1)
    assert torch.allclose(found[0, :, :3], everything[0][:, classes[0]], atol=1e-5)
    assert torch.allclose(found.exp().sum(-1), torch.ones(2, 7), atol=1e-5)
    assert (found[1, :, 2].exp() == 0).all()
