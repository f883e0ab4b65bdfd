"""Loss, optimiser, schedule, average and transfer, each alone."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from refusals import assert_usage_error
from torch import nn

from crnn.checkpoints import save_checkpoint
from crnn.cli.train import main
from crnn.data.loader import Batch
from crnn.model import build_model, default_card
from crnn.training import OPTIMIZERS, SCHEDULES, TrainConfig
from crnn.training.config.optimisation import OptimizerName, ScheduleName
from crnn.training.objective.loss import (
    alignment_loss,
    chosen_steps,
    ctc_loss,
    placed_loss,
    steps_loss,
)
from crnn.training.optim import Ema, learning_rate, make_optimizer
from crnn.training.start.transfer import init_weights, match_alphabets
from crnn.training.table import arch_table
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet


def config(**changes: object) -> TrainConfig:
    options = {
        "arch": "lite",
        "alphabet": Alphabet("01"),
        "directory": Path("x"),
        "synth": "digits",
    }
    return TrainConfig(**(options | changes))  # type: ignore[arg-type]


def batch(codes: list[list[int]], steps: list[int], columns: list[int] | None = None) -> Batch:
    flat = [code for line in codes for code in line]
    return Batch(
        images=torch.zeros(len(codes), 1, 32, 32),
        steps=torch.tensor(steps),
        targets=torch.tensor(flat),
        lengths=torch.tensor([len(line) for line in codes]),
        columns=torch.tensor(columns or [-1] * len(flat)),
        indices=torch.arange(len(codes)),
        sources=torch.zeros(len(codes), dtype=torch.int64),
        failures=[],
    )


def uniform(lines: int, steps: int, classes: int) -> torch.Tensor:
    return torch.full((lines, steps, classes), -np.log(classes), dtype=torch.float32)


def test_ctc_counts_the_paths_over_valid_steps_only() -> None:
    # "1" in 2 steps: 1-, -1 and 11 of nine paths; the other 5 steps are padding.
    loss = ctc_loss(uniform(1, 7, 3), batch([[1]], [2]))
    assert loss.item() == pytest.approx(-np.log(3 / 9), rel=1e-5)


def test_ctc_never_asks_for_more_steps_than_there_are() -> None:
    exact = ctc_loss(uniform(1, 4, 3), batch([[1, 2]], [4]))
    assert ctc_loss(uniform(1, 4, 3), batch([[1, 2]], [9])) == exact


def test_an_impossible_line_is_zero_and_leaves_the_others() -> None:
    log_probs = uniform(2, 4, 3).requires_grad_()
    loss = ctc_loss(log_probs, batch([[1, 1, 1, 2], [1]], [4, 4]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(ctc_loss(uniform(1, 4, 3), batch([[1]], [4])).item() / 2)
    assert log_probs.grad is not None
    assert torch.isfinite(log_probs.grad).all()
    assert (log_probs.grad[0] == 0).all()


def test_alignment_wants_each_character_on_its_column() -> None:
    lines = batch([[1, 2], [1]], [4, 4], [0, 2, -1])
    scores = torch.zeros(2, 5, 3)
    scores[0, [0, 2], [1, 2]] = 30
    scores[0, [1, 3], 0] = 30
    right = alignment_loss(scores.log_softmax(-1), lines)
    assert right.item() == pytest.approx(0, abs=1e-6)
    scores[1] = torch.randn(5, 3)  # a line that does not know takes no part, nor does padding
    scores[0, 4] = torch.randn(3)
    assert alignment_loss(scores.log_softmax(-1), lines).item() == pytest.approx(0, abs=1e-6)
    scores[0, 2] = 0
    assert alignment_loss(scores.log_softmax(-1), lines).item() > 0.1


def test_alignment_of_lines_that_do_not_know_is_zero() -> None:
    assert alignment_loss(uniform(1, 4, 3), batch([[1, 2]], [4])).item() == 0


def test_lines_that_do_not_know_are_taught_by_ctc_alone_at_its_full_weight() -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 6, 3, requires_grad=True)
    mixed = batch([[1, 2], [2]], [6, 5], [0, 2, -1])

    def gradient(teaching: float, lines: Batch) -> torch.Tensor:
        loss = placed_loss(scores.log_softmax(-1), lines, teaching)
        return torch.autograd.grad(loss, scores)[0]

    plain = torch.autograd.grad(ctc_loss(scores.log_softmax(-1), mixed), scores)[0]
    torch.testing.assert_close(gradient(0.0, mixed), plain)
    for teaching in (0.3, 1.0):
        taught = gradient(teaching, mixed)
        torch.testing.assert_close(taught[1], plain[1])
        assert not torch.allclose(taught[0], plain[0])
    known = batch([[1, 2], [2]], [6, 5], [0, 2, 1])
    alone = torch.autograd.grad(alignment_loss(scores.log_softmax(-1), known), scores)[0]
    torch.testing.assert_close(gradient(1.0, known), alone)


def test_chosen_steps_are_all_characters_and_some_blanks_of_lines_that_know() -> None:
    torch.manual_seed(0)
    lines = batch([[1, 2], [1], [2]], [300, 200, 300], [3, 200, -1, 299])
    steps = chosen_steps(lines, 400)
    shown = dict(zip(steps.indices.tolist(), steps.classes.tolist(), strict=True))
    assert {place: code for place, code in shown.items() if code} == {3: 1, 200: 2, 1099: 2}
    blanks = [place for place, code in shown.items() if not code]
    assert all(place < 300 or 800 <= place < 1100 for place in blanks)
    assert 40 < len(blanks) < 110  # of 597


def test_loss_of_chosen_steps_is_the_alignments_on_average() -> None:
    torch.manual_seed(0)
    lines = batch([[1, 2]], [500], [3, 200])
    log_probs = torch.randn(1, 500, 3).log_softmax(-1)
    losses = []
    for _ in range(300):
        steps = chosen_steps(lines, 500)
        losses.append(steps_loss(log_probs[0][steps.indices], steps).item())
    assert np.mean(losses) == pytest.approx(alignment_loss(log_probs, lines).item(), rel=0.02)


def test_no_steps_to_choose_are_no_loss() -> None:
    steps = chosen_steps(batch([[1, 2]], [4]), 4)
    log_probs = torch.zeros(len(steps.indices), 3, requires_grad=True)
    loss = steps_loss(log_probs, steps)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert log_probs.grad is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"align_first": 0.5, "align": 0.3}, "--align-first 0.5.*--align 0.3"),
        ({"align_first": 0.5, "align": 0.6, "synth": None, "dataset_root": Path("d")}, "--synth"),
    ],
)
def test_looking_at_steps_first_needs_what_it_learns_from(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(CrnnError, match=message):
        config(**options)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_kept() -> None:
    script = (
        "import resource, sys, torch; from crnn.memory import keep_freed_memory\n"
        "if sys.argv[1] == 'keep': keep_freed_memory()\n"
        "faults = []\n"
        "for _ in range(41):\n"
        "    torch.ones(20_000_000)\n"
        "    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)\n"
        "print(faults[-1] - faults[-21])"
    )
    faults = {
        what: int(subprocess.check_output([sys.executable, "-c", script, what]))
        for what in ("keep", "drop")
    }
    # Small blocks may come to lie where a large one was, until there is room for both.
    assert faults["keep"] < 1000 < faults["drop"] / 100


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_reduces_a_loss(name: OptimizerName) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    x, y = torch.randn(32, 4), torch.randn(32, 1)
    optimizer = make_optimizer(model, config(optimizer=name, lr=0.01))
    losses = []
    for _ in range(50):
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_only_kernels_decay() -> None:
    groups = make_optimizer(build_model("lite", 3), config(weight_decay=0.5)).param_groups
    assert {group["weight_decay"] for group in groups} == {0.5, 0.0}
    for group in groups:
        assert all((p.dim() > 1) == (group["weight_decay"] > 0) for p in group["params"])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_warm_up_and_never_exceed_the_rate(name: ScheduleName) -> None:
    run = config(schedule=name, lr=1.0, warmup=0.2, max_epoch=10)
    rates = [learning_rate(run, step / 100, step / 10) for step in range(101)]
    assert rates[0] < 0.1
    assert rates[10] == pytest.approx(0.52)
    assert max(rates) <= 1.0
    ends = {"one-cycle": 1e-4, "cosine": 0.02, "exponential": 0.9**10, "constant": 1.0}
    assert rates[100] == pytest.approx(ends[name])


def test_the_average_follows_the_weights_and_copies_statistics() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    model[0].weight.data.fill_(0.0)
    average = Ema(model, 0.5)
    for step, expected in ((1, 9 / 11), (100, (9 / 11 + 1) / 2)):
        model[0].weight.data.fill_(1.0)
        average.update(model, step)
        assert average.model[0].weight.item() == pytest.approx(expected)  # type: ignore[index]
    model(torch.randn(8, 1))
    average.update(model, 101)
    assert torch.equal(average.model[1].running_mean, model[1].running_mean)  # type: ignore[index]


def test_rows_are_matched_by_character() -> None:
    transfer = match_alphabets(Alphabet("abca"), Alphabet("xaaab"))
    assert transfer.kept == [(2, 1), (3, 4), (5, 2)]
    assert (transfer.new, transfer.dropped) == (["x", "a"], ["c"])
    assert re.findall(r"\d|\(\w+\)", str(transfer)) == ["3", "2", "(xa)", "1", "(c)"]


def test_weights_move_to_another_alphabet(tmp_path: Path) -> None:
    old_card = default_card("lite", Alphabet("abc"))
    old = build_model("lite", 4, 1).eval()
    save_checkpoint(tmp_path / "old.pth", old, old_card)
    card = default_card("lite", Alphabet("cxa"))
    model = build_model("lite", 4, 1).eval()
    init_weights(model, card, tmp_path / "old.pth")
    line = torch.randn(1, 1, 32, 64)
    was, now = old.logits(line), model.logits(line)
    assert torch.equal(now[:, :, [0, 1, 3]], was[:, :, [0, 3, 1]])
    assert not torch.equal(now[:, :, 2], was[:, :, 2])


def test_weights_without_an_alphabet_need_as_many_classes(tmp_path: Path) -> None:
    torch.save(build_model("lite", 4, 1).state_dict(), tmp_path / "bare.pth")
    card = default_card("lite", Alphabet("abc"))
    init_weights(build_model("lite", 4, 1), card, tmp_path / "bare.pth")
    fewer = default_card("lite", Alphabet("cx"))
    model = build_model("lite", 3, 1)
    found = init_weights(model, fewer, tmp_path / "bare.pth", "abc")  # what it holds is said
    assert (found.kept, found.new) == ([(1, 3)], ["x"])
    with pytest.raises(CrnnError, match=r"4 classes .* 3"):
        init_weights(
            build_model("lite", 3, 1), default_card("lite", Alphabet("ab")), tmp_path / "bare.pth"
        )
    with pytest.raises(CrnnError, match=r"--init: .*bare\.pth .*lite.* vgg_bilstm"):
        init_weights(
            build_model("vgg_bilstm", 4, 1),
            default_card("vgg_bilstm", Alphabet("abc")),
            tmp_path / "bare.pth",
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synth": None}, "--synth"),
        ({"width": 100, "keep_ratio": True}, "--keep-ratio"),
        ({"batch_size": 0}, "--batch-size is 0: .*1"),
        ({"lr": 0.0}, "--lr is 0.0"),
        ({"ema": 1.0}, "--ema"),
        ({"mix": (("a", 0.5), ("b", 0.5))}, "--mix"),
    ],
)
def test_configurations_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CrnnError, match=message):
        config(**changes)


@pytest.mark.parametrize("name", ["optimizer", "schedule", "precision", "teacher-on", "lengthen"])
def test_a_choice_that_is_none_is_refused_on_the_command_line(name: str) -> None:
    result = CliRunner().invoke(main, ["--synth", "digits", f"--{name}", "foo"])
    assert_usage_error(result, f"--{name}", "'foo'")


def test_sizes_override_those_of_the_architecture() -> None:
    assert config(arch="densenet121").card().width == 280
    assert config(arch="densenet121", keep_ratio=True).card().width is None
    assert config(width=100, height=48).card().width == 100
    assert config(width=100, height=48).card().height == 48


@pytest.mark.slow
def test_the_table_lists_every_architecture() -> None:
    head, *rows = arch_table()
    assert "stride" in head
    lite = next(row for row in rows if row.startswith("lite"))
    assert lite.split()[1:4] == ["4", "70", "135"]
    assert [row.split()[3] for row in rows if row.startswith("vgg_bilstm")] == ["all"]
