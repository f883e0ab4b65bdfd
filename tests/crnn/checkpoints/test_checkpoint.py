"""Checkpoints of three projects give equal answers, and ours come back as they were."""

import resource
import signal
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from refusals import assert_line, refused
from seed_parity import (
    ARCHS,
    WIDTHS,
    seed_alphabet,
    seed_input,
    seed_log_probs,
    seed_state_dict,
)

from crnn.checkpoints import load_checkpoint, load_model, save_checkpoint
from crnn.model import CRNN, build_model, default_card
from crnn_runtime import Alphabet, CrnnError

DIGITS = Alphabet("0123456789")
SeedCheckpoint = Callable[[str], Path]


# Checkpoints of other projects


@torch.no_grad()
@pytest.mark.parametrize("arch", ARCHS)
def test_an_original_checkpoint_gives_the_original_answers(
    arch: str, seed_checkpoint: SeedCheckpoint
) -> None:
    model, card = load_model(seed_checkpoint(arch), alphabet=seed_alphabet(arch))
    assert card.arch == arch
    assert not model.training
    for width in WIDTHS:
        log_probs = model(torch.from_numpy(seed_input(arch, width)))
        expected = torch.from_numpy(seed_log_probs(arch, width))
        torch.testing.assert_close(log_probs, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("arch", ARCHS)
def test_the_weights_stand_in_the_original_order(
    arch: str, seed_checkpoint: SeedCheckpoint
) -> None:
    """An optimiser's state refers to weights by their place."""
    checkpoint = load_checkpoint(seed_checkpoint(arch))
    assert list(checkpoint.state_dict) == list(checkpoint.build().state_dict())


def test_an_original_checkpoint_keeps_its_training_state(seed_checkpoint: SeedCheckpoint) -> None:
    checkpoint = load_checkpoint(seed_checkpoint("mobilenetv2_cifar"))
    assert checkpoint.card is None
    assert (checkpoint.epoch, checkpoint.best_accuracy) == (2, 0.75)
    assert checkpoint.optimizer is not None
    assert checkpoint.optimizer["param_groups"][0]["lr"] == 5e-4
    assert (checkpoint.num_classes, checkpoint.in_channels) == (11, 3)


@pytest.mark.parametrize(("arch", "width"), [("densenet121", 280), ("vgg_bilstm", 100)])
def test_the_card_of_a_foreign_checkpoint_keeps_its_width(
    arch: str, width: int, seed_checkpoint: SeedCheckpoint
) -> None:
    card = load_checkpoint(seed_checkpoint(arch), alphabet=seed_alphabet(arch)).card
    assert card is not None
    assert card.width == width


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_dropped(prefix: str, tmp_path: Path) -> None:
    wrapped = OrderedDict((prefix + n, t) for n, t in seed_state_dict("vgg_bilstm").items())
    torch.save(wrapped, tmp_path / "crnn.pth")
    assert load_checkpoint(tmp_path / "crnn.pth").arch == "vgg_bilstm"


@pytest.mark.parametrize("arch", ARCHS)
def test_bare_weights_are_recognised(arch: str, tmp_path: Path) -> None:
    torch.save(seed_state_dict(arch), tmp_path / "bare.pth")
    assert load_checkpoint(tmp_path / "bare.pth").arch == arch


def test_files_of_old_pytorch_load(tmp_path: Path) -> None:
    """Not a zip, and no counters of batches: before PyTorch 0.4.1."""
    old = {n: t for n, t in seed_state_dict("vgg_bilstm").items() if "num_batches" not in n}
    torch.save(old, tmp_path / "crnn.pth", _use_new_zipfile_serialization=False)
    model, _ = load_model(tmp_path / "crnn.pth", alphabet=seed_alphabet("vgg_bilstm"))
    with torch.no_grad():
        log_probs = model(torch.from_numpy(seed_input("vgg_bilstm", 64)))
    expected = torch.from_numpy(seed_log_probs("vgg_bilstm", 64))
    torch.testing.assert_close(log_probs, expected, atol=1e-4, rtol=0)


# Our own


@torch.no_grad()
@pytest.mark.parametrize("arch", [*ARCHS, "lite"])
def test_our_checkpoints_come_back(arch: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(arch, DIGITS.num_classes).eval()
    card = default_card(arch, DIGITS, training={"lines": 10})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    path = tmp_path / "modèle_1.pth.tar"
    save_checkpoint(
        path, model, card,
        epoch=3, best_accuracy=0.5, optimizer=optimizer.state_dict(),
        extra={"rng": torch.get_rng_state(), "step": 7},
    )  # fmt: skip
    checkpoint = load_checkpoint(path, arch=arch, alphabet=DIGITS)
    assert (checkpoint.arch, checkpoint.card) == (arch, card)
    assert (checkpoint.epoch, checkpoint.best_accuracy) == (3, 0.5)
    assert checkpoint.extra["step"] == 7
    assert checkpoint.optimizer == optimizer.state_dict()
    x = torch.randn(1, card.channels, 32, 64)
    assert torch.equal(checkpoint.build()(x), model(x))


def test_other_channels_than_the_default_come_back(tmp_path: Path) -> None:
    card = default_card("lite", DIGITS, color="bgr", mean=(0.5,) * 3, std=(0.5,) * 3)
    save_checkpoint(tmp_path / "x.pth", build_model("lite", 11, in_channels=3), card)
    model, read = load_model(tmp_path / "x.pth")
    assert model.backbone.in_channels == 3
    assert read.color == "bgr"


def test_the_keys_are_the_original_ones(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    assert {"arch", "epoch", "state_dict", "best_accuracy", "optimizer"} <= content.keys()


def test_a_failed_save_leaves_the_old_file(saved: Path, lite: CRNN) -> None:
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(saved, lite, default_card("lite", DIGITS), extra={"path": saved})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_card_of_another_model_is_not_saved(tmp_path: Path, lite: CRNN) -> None:
    with pytest.raises(ValueError, match=r"\b3 .*\b1 .*\b11 .*\b1\b"):
        save_checkpoint(tmp_path / "x.pth", lite, default_card("lite", Alphabet("ab")))


def test_no_folder_to_save_in(tmp_path: Path, lite: CRNN) -> None:
    with refused(tmp_path / "none" / "x.pth"):
        save_checkpoint(tmp_path / "none" / "x.pth", lite, default_card("lite", DIGITS))


def test_a_full_disk_leaves_the_old_file(saved: Path, lite: CRNN) -> None:
    before = saved.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CrnnError, match=r"reader\.pth"):
            save_checkpoint(saved, lite, default_card("lite", DIGITS))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_the_shipped_alphabet_on_a_foreign_checkpoint_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shipped = Alphabet.load("zh")
    model = build_model("lite", shipped.num_classes)
    torch.save(model.state_dict(), tmp_path / "foreign.pth")
    load_model(tmp_path / "foreign.pth", alphabet=Alphabet(reversed(shipped.characters)))
    save_checkpoint(tmp_path / "ours.pth", model, default_card("lite", shipped))
    load_model(tmp_path / "ours.pth", alphabet=shipped)
    assert not caplog.records
    load_model(tmp_path / "foreign.pth", alphabet=shipped)
    (record,) = caplog.records
    assert_line(record.getMessage(), "foreign.pth", "zh")
