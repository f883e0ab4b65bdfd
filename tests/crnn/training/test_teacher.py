"""A frozen reader that another stays close to: what it says, on which lines, of which classes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import DIGITS, small_run

from crnn.checkpoints import load_checkpoint, save_checkpoint
from crnn.data.loader import Batch
from crnn.few_classes import few_log_probs, top_log_probs, with_rest
from crnn.model import CRNN, build_model, default_card
from crnn.training import TrainConfig, train
from crnn.training.objective import Objective
from crnn.training.objective.teacher import Teacher, divergence
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard

MANY = Alphabet([*"0123456789", *(chr(0x4E00 + n) for n in range(1100))])


def reader(alphabet: Alphabet, seed: int = 1) -> CRNN:
    torch.manual_seed(seed)
    model = build_model("lite", alphabet.num_classes)
    torch.nn.init.normal_(model.classifier.weight, std=0.3)
    torch.nn.init.normal_(model.classifier.bias, std=0.3)
    return model.eval()


def batch(codes: list[list[int]], sources: list[int] | None = None) -> Batch:
    torch.manual_seed(3)
    flat = [code for line in codes for code in line]
    return Batch(
        images=torch.randn(len(codes), 1, 32, 96),
        steps=torch.tensor([24, 15, 20][: len(codes)]),
        targets=torch.tensor(flat),
        lengths=torch.tensor([len(line) for line in codes]),
        columns=torch.full((len(flat),), -1),
        indices=torch.arange(len(codes)),
        sources=torch.tensor(sources or [0] * len(codes)),
        failures=[],
    )


def loss_of(teacher: Teacher | None, student: CRNN, lines: Batch, **changes: Any) -> float:  # noqa: ANN401
    options: dict[str, Any] = {
        "arch": "lite", "alphabet": DIGITS, "directory": Path("x"), "synth": "digits",
    }  # fmt: skip
    with torch.no_grad():
        loss: torch.Tensor = Objective(student, TrainConfig(**(options | changes)), teacher)(
            lines, 0.5
        )
    return loss.item()


@pytest.mark.parametrize("alphabet", [DIGITS, MANY])
@pytest.mark.parametrize("top", [0, 4, 5000])
def test_a_copy_of_the_student_changes_nothing_and_another_reader_does(
    alphabet: Alphabet, top: int
) -> None:
    card = default_card("lite", alphabet)
    lines = batch([[3, 3, 7], [2, 9]])
    alone = loss_of(None, reader(alphabet), lines)
    copy = Teacher(reader(alphabet), card, card, top=top)
    other = Teacher(reader(alphabet, seed=2), card, card, top=top)
    assert loss_of(copy, reader(alphabet), lines) == pytest.approx(alone, abs=1e-3)
    assert loss_of(other, reader(alphabet), lines) > alone + 2e-3
    weighted = loss_of(other, reader(alphabet), lines, teacher_weight=0.5)
    assert weighted - alone == pytest.approx(
        (loss_of(other, reader(alphabet), lines) - alone) / 2, rel=1e-2
    )


def test_the_divergence_is_that_of_the_definition() -> None:
    """Over all ten digits and blank, each line's valid steps, per character."""
    card = default_card("lite", DIGITS)
    student, teacher = reader(DIGITS), reader(DIGITS, seed=2)
    lines = batch([[3, 3, 7], [2, 9]])
    with torch.no_grad():
        learnt, taught = student(lines.images), teacher(lines.images)
    expected = sum(
        torch.nn.functional.kl_div(
            learnt[n, :steps], taught[n, :steps], log_target=True, reduction="sum"
        ).item()
        for n, steps in enumerate(lines.steps.tolist())
    ) / 5  # fmt: skip
    found = loss_of(Teacher(teacher, card, card), student, lines)
    assert found - loss_of(None, student, lines) == pytest.approx(expected, rel=1e-3)


@torch.no_grad()
def test_a_teacher_of_another_alphabet_is_matched_by_character() -> None:
    """Rows in another order, and one more character that counts among the rest."""
    theirs = Alphabet("x9876543210")
    student, teacher = reader(DIGITS), reader(theirs, seed=2)
    card, lines = default_card("lite", DIGITS), batch([[3, 3, 7], [2, 9]])
    advice = Teacher(teacher, default_card("lite", theirs), card)(lines, None, 24)
    assert advice.classes is not None
    everything = teacher(lines.images).exp()
    picked = everything[0, 5, [0, *range(11, 1, -1)]]  # blank, then 0 to 9
    order = advice.classes[0, 5].argsort()
    torch.testing.assert_close(advice.log_probs[0, 5, :-1].exp()[order], picked)
    torch.testing.assert_close(advice.log_probs[0, 5, -1].exp(), everything[0, 5, 1])
    log_probs = with_rest(student(lines.images).gather(2, advice.classes))
    assert divergence(advice, log_probs, lines) > 0


@torch.no_grad()
def test_lines_of_another_source_or_with_unknown_characters_are_left_alone() -> None:
    card, theirs = default_card("lite", DIGITS), default_card("lite", Alphabet("12345678"))
    lines = batch([[4], [1], [2]], sources=[0, 1, 0])  # code 1 is "0", which 1…8 lacks
    for on, follows in (("all", [1, 0, 1]), ("main", [1, 0, 1]), ("mix", [0, 0, 0])):
        teacher = Teacher(reader(theirs.alphabet), theirs, card, lines=on)  # type: ignore[arg-type]
        assert teacher(lines, None, 24).weights[:, 0].tolist() == follows
    same = Teacher(reader(DIGITS), card, card, lines="mix")
    weights = same(lines, None, 24).weights
    assert weights[:, 0].tolist() == [0, 1, 0]
    assert weights.sum() == 15, "valid steps alone"


@torch.no_grad()
def test_the_likeliest_classes_are_those_that_both_have() -> None:
    columns, layer = torch.randn(2, 7, 96), reader(MANY).classifier
    allowed = torch.arange(MANY.num_classes) % 2 == 0
    classes, log_probs = top_log_probs(columns, layer, allowed, 3)
    everything = layer(columns).log_softmax(-1)
    assert (classes % 2 == 0).all()
    best = everything[:, :, ::2].topk(3).values
    torch.testing.assert_close(log_probs, best)
    torch.testing.assert_close(few_log_probs(columns, layer, classes), best)


def test_a_sure_student_can_learn_that_it_is_wrong() -> None:
    """If the teacher means another class than those compared, the rest must be able to rise."""
    scores = torch.tensor([[[30.0, 0.0, 0.0]]], requires_grad=True)
    learnt = with_rest(scores.log_softmax(-1)[:, :, :2])
    assert torch.isfinite(learnt).all()
    (-learnt[0, 0, -1]).backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert scores.grad.abs().max() < 2


def cards(**changes: Any) -> ModelCard:  # noqa: ANN401
    return default_card("lite", DIGITS, **changes)


@torch.no_grad()
def test_a_teacher_sees_its_own_colours_and_size() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 1, 32, 96)
    grey = cards(mean=(0.4,), std=(0.2,))
    teacher = Teacher(reader(DIGITS), grey, cards())
    torch.testing.assert_close(teacher._seen(images), (images * 0.5 + 0.5 - 0.4) / 0.2)
    colour = cards(color="bgr", mean=(0.5,) * 3, std=(0.25,) * 3)
    torch.manual_seed(1)
    model = build_model("lite", 11, 3)
    seen = Teacher(model, colour, cards())._seen(images)
    torch.testing.assert_close(seen, (images * 2).expand(2, 3, 32, 96))
    back = Teacher(reader(DIGITS), cards(), colour)._seen(seen)
    torch.testing.assert_close(back, images)
    # A stride of 8 at height 64 is one of 4 at height 32.
    taller = cards(height=64, time_stride=8, time_origin=0.0)
    assert Teacher(reader(DIGITS), taller, cards())._seen(images).shape == (2, 1, 64, 192)
    fixed = Teacher(reader(DIGITS), cards(width=100, time_stride=5), cards(width=80, time_stride=4))
    assert fixed._seen(torch.zeros(2, 1, 32, 80)).shape == (2, 1, 32, 100)
    assert Teacher(reader(DIGITS), cards(height=40), cards())._seen(images) is images


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        ({"time_stride": 8}, {}),
        ({"height": 48, "time_stride": 8}, {}),
        ({"width": 100}, {}),
        ({"time_origin": 3.0}, {}),
    ],
)
def test_other_time_steps_are_refused(teacher: dict[str, Any], student: dict[str, Any]) -> None:
    with pytest.raises(CrnnError):
        Teacher(reader(DIGITS), cards(**teacher), cards(**student))


@torch.no_grad()
def distance(one: Path, other: Path) -> float:
    """Returns how differently two readers read noise, in nats a step."""
    torch.manual_seed(5)
    images = torch.randn(4, 1, 32, 96)
    a, b = (load_checkpoint(path).build()(images) for path in (one, other))
    return float((b.exp() * (b - a)).sum(-1).mean())


def test_a_run_with_its_start_as_teacher_stays_nearer_to_it(tmp_path: Path) -> None:
    start = tmp_path / "start.pth"
    save_checkpoint(start, reader(DIGITS), default_card("lite", DIGITS))
    own: dict[str, Any] = {"synth_lines": 48, "batch_size": 4, "max_epoch": 1, "init": start}
    own |= {"lr": 3e-3, "warmup": 0.0, "teacher_weight": 10.0}
    free = train(small_run(tmp_path / "free", **own))
    kept = train(small_run(tmp_path / "kept", **own, teacher="init"))
    file = train(small_run(tmp_path / "file", **own, teacher=str(start)))
    assert distance(kept.last, file.last) == 0
    assert not any("teacher" in name for name in load_checkpoint(kept.last).state_dict)
    assert distance(kept.last, start) < 0.8 * distance(free.last, start)


def test_what_cannot_teach_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CrnnError, match="--init"):
        train(small_run(tmp_path / "a", teacher="init"))
    with pytest.raises(CrnnError, match=r"gone\.pth"):
        train(small_run(tmp_path / "b", teacher=str(tmp_path / "gone.pth")))
    save_checkpoint(tmp_path / "coarse.pth", reader(DIGITS), cards(time_stride=8))
    with pytest.raises(CrnnError, match=r"coarse\.pth: .*time step"):
        train(small_run(tmp_path / "c", teacher=str(tmp_path / "coarse.pth")))
    with pytest.raises(CrnnError, match="--mix"):
        small_run(tmp_path, teacher="x.pth", teacher_on="mix")
