"""The objective: which loss a batch has at which point of a run."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from crnn.data.loader import Batch
from crnn.data.parts import in_parts
from crnn.model import CRNN, build_model
from crnn.training import TrainConfig
from crnn.training.objective import Objective
from crnn_runtime.model.alphabet import Alphabet


def config(**changes: Any) -> TrainConfig:  # noqa: ANN401
    options: dict[str, Any] = {
        "arch": "lite", "alphabet": Alphabet("01"), "directory": Path("x"), "synth": "digits",
        "align_first": 0.25, "align": 0.75,
    }  # fmt: skip
    return TrainConfig(**(options | changes))


def reader(classes: int) -> CRNN:
    torch.manual_seed(1)
    model = build_model("lite", classes)
    torch.nn.init.normal_(model.classifier.weight, std=0.3)
    return model.eval()


@pytest.fixture
def batch() -> Batch:
    """A repeated character, a photograph that does not know its places, an empty line."""
    return Batch(
        images=torch.linspace(-1, 1, 3 * 32 * 96).cos().reshape(3, 1, 32, 96),
        steps=torch.tensor([24, 20, 12]),
        targets=torch.tensor([3, 3, 7, 2, 9]),
        lengths=torch.tensor([3, 2, 0]),
        columns=torch.tensor([2, 9, 20, -1, -1]),
        indices=torch.arange(3),
        sources=torch.zeros(3, dtype=torch.int64),
        failures=[],
    )


def losses(objective: Objective, batch: Batch) -> list[float]:
    found: list[float] = []
    for progress in (0.1, 0.25, 0.5, 0.9):
        torch.manual_seed(4)  # some blanks are drawn
        loss: Tensor = objective(batch, progress)
        found.append(loss.item())
    return found


@pytest.mark.parametrize(
    ("classes", "recorded"),
    [
        (11, [3.008287, 16.070612, 18.282347, 20.49408]),
        (1200, [6.987742, 55.058228, 62.276482, 69.494728]),
    ],
)
def test_losses_are_those_that_the_curriculum_always_had(
    batch: Batch, classes: int, recorded: list[float]
) -> None:
    assert losses(Objective(reader(classes), config()), batch) == pytest.approx(recorded, rel=1e-4)


@pytest.mark.parametrize("classes", [11, 1200])
def test_a_compiled_backbone_is_compiled_again_for_sizes_and_never_for_progress(
    batch: Batch, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch._dynamo.reset()
    compiled = CompileCounter()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=compiled))
    settings = {"align_first": 0.0, "align": 0.95}
    plain = Objective(reader(classes), config(**settings))
    objective = Objective(reader(classes), config(compile=True, **settings))
    wider = batch._replace(images=torch.nn.functional.pad(batch.images, (0, 64)))
    widest = batch._replace(images=torch.nn.functional.pad(batch.images, (0, 160)))
    for progress in torch.arange(0.1, 0.9, 0.05).tolist():
        for lines in (batch, wider, widest):
            loss = objective(lines, progress)
            loss.backward()
            assert loss.item() == pytest.approx(plain(lines, progress).item(), rel=1e-4)
    assert compiled.frame_count == 2  # the first width, then any


def test_what_cannot_be_compiled_is_one_line(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(*_: object) -> None:
        raise RuntimeError("no compiler\nat all")

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    with refused("--compile", "no compiler"):
        Objective(reader(11), config(compile=True))(batch, 0.9)


@pytest.mark.parametrize(("most", "sizes"), [(2 * 32 * 96, [2, 1]), (1, [1, 1, 1]), (1e9, [3])])
@pytest.mark.parametrize("classes", [11, 1200])
def test_parts_of_a_batch_have_its_gradient_together(
    batch: Batch, classes: int, most: float, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crnn.data.parts.MOST_PIXELS", most)
    objective = Objective(reader(classes), config())
    weights = [each for each in objective.parameters() if each.requires_grad]
    whole = torch.autograd.grad(objective(batch, 0.9), weights)
    parts = list(in_parts(batch, torch.device("cpu")))
    assert [len(part.images) for part, _ in parts] == sizes
    assert len(list(in_parts(batch, torch.device("cuda")))) == 1
    for name in Batch._fields[:-1]:
        together = torch.cat([getattr(part, name) for part, _ in parts])
        assert torch.equal(together, getattr(batch, name)), name
    for part, share in parts:
        (objective(part, 0.9) * share).backward()
    for weight, gradient in zip(weights, whole, strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-5, atol=1e-5)
