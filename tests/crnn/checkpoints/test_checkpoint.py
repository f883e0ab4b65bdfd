"""Checkpoints of three projects: equal answers, and one clear line for each way to be wrong."""

import pickle
import resource
import signal
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
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


@pytest.fixture(scope="module")
def lite() -> CRNN:
    torch.manual_seed(0)
    return build_model("lite", DIGITS.num_classes).eval()


@pytest.fixture
def saved(tmp_path: Path, lite: CRNN) -> Path:
    path = tmp_path / "reader.pth"
    save_checkpoint(path, lite, default_card("lite", DIGITS))
    return path


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
    with pytest.raises(TypeError, match="not loadable as plain data"):
        save_checkpoint(saved, lite, default_card("lite", DIGITS), extra={"path": saved})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_card_of_another_model_is_not_saved(tmp_path: Path, lite: CRNN) -> None:
    with pytest.raises(ValueError, match="3 classes and 1 channels for a model of 11 and 1"):
        save_checkpoint(tmp_path / "x.pth", lite, default_card("lite", Alphabet("ab")))


def test_no_folder_to_save_in(tmp_path: Path, lite: CRNN) -> None:
    with pytest.raises(CrnnError, match="cannot write"):
        save_checkpoint(tmp_path / "none" / "x.pth", lite, default_card("lite", DIGITS))


def test_a_full_disk_leaves_the_old_file(saved: Path, lite: CRNN) -> None:
    before = saved.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CrnnError, match=r"cannot write .*reader\.pth"):
            save_checkpoint(saved, lite, default_card("lite", DIGITS))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


# Wrong files: one line that names the file and the reason


class _RunsCode:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def _refusal(path: Path, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(CrnnError) as caught:
        load_model(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def _changed(path: Path, **changes: object) -> Path:
    content = torch.load(path, weights_only=True)
    for key, value in changes.items():
        content[key] = value
    torch.save(content, path)
    return path


def test_missing_file(tmp_path: Path) -> None:
    assert "no checkpoint file" in _refusal(tmp_path / "none.pth")
    assert "no checkpoint file" in _refusal(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x.pth").touch()
    assert "is empty" in _refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_truncated_file(saved: Path, share: float, zipped: bool) -> None:
    content = torch.load(saved, weights_only=True)
    torch.save(content, saved, _use_new_zipfile_serialization=zipped)
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    assert "damaged or truncated" in _refusal(saved)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_code_is_refused_and_not_run(saved: Path, zipped: bool, nested: bool) -> None:
    trace = saved.with_name("was_run")
    content = torch.load(saved, weights_only=True) | {"extra": _RunsCode(trace)}
    torch.save(
        content if nested else content["extra"], saved, _use_new_zipfile_serialization=zipped
    )
    assert "could run code" in _refusal(saved)
    assert not trace.exists()


def test_a_plain_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "x.pth", tmp_path / "was_run"
    path.write_bytes(pickle.dumps(_RunsCode(trace)))
    _refusal(path)
    assert not trace.exists()


def test_a_pickled_model_is_refused(tmp_path: Path, lite: CRNN) -> None:
    torch.save(lite, tmp_path / "x.pth")
    assert "save only tensors and plain values" in _refusal(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "content",
    [
        b"path/to/image.jpg 1 2 3\n",
        b"\x08\x08\x12\x07pytorch\x1a\x062.0",  # how an ONNX file begins
        b"\xff\xd8\xff\xe0JFIF",
        b"\x00" * 100,
    ],
)
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    assert "is not a PyTorch checkpoint" in _refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds a list"),
        (torch.zeros(1), "holds a Tensor"),
        ({}, "no state_dict"),
        ({"weights": [1]}, "'weights' is not a tensor"),
        ({"state_dict": None}, "no state_dict"),
        ({"state_dict": {1: torch.zeros(1)}}, "1 is not a tensor"),
        ({"conv.weight": torch.zeros(8, 3, 3, 3)}, "fit none of densenet_cifar"),
    ],
)
def test_a_pytorch_file_that_is_no_checkpoint(
    tmp_path: Path, content: object, message: str
) -> None:
    torch.save(content, tmp_path / "x.pth")
    assert message in _refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("arch", ["densenet_cifar", "vgg_bilstm"])
def test_another_architecture_than_asked_for(arch: str, seed_checkpoint: SeedCheckpoint) -> None:
    message = _refusal(seed_checkpoint(arch), arch="densenet121", alphabet=seed_alphabet(arch))
    assert f"holds a {arch}, not the densenet121 asked for" in message


def test_an_unknown_architecture_is_named(saved: Path) -> None:
    assert "unknown architecture 'resnet50'" in _refusal(saved, arch="resnet50")
    assert "resnet50" in _refusal(_changed(saved, arch="resnet50"))
    assert "holds ['lite'], which is none of" in _refusal(_changed(saved, arch=["lite"]))


def test_weights_of_another_architecture_than_stated(saved: Path) -> None:
    _changed(saved, state_dict=seed_state_dict("resnet_cifar"))
    assert "does not fit lite: backbone.layers.0.weight" in _refusal(saved)


def test_a_shape_that_does_not_fit(saved: Path) -> None:
    tensors = torch.load(saved, weights_only=True)["state_dict"]
    tensors["backbone.layers.0.weight"] = torch.zeros(7, 1, 3, 3)
    message = _refusal(_changed(saved, state_dict=tensors))
    assert "backbone.layers.0.weight has shape (7, 1, 3, 3), not (" in message


def test_a_missing_tensor(saved: Path) -> None:
    tensors = torch.load(saved, weights_only=True)["state_dict"]
    del tensors["classifier.bias"]
    assert "classifier.bias is missing" in _refusal(_changed(saved, state_dict=tensors))
    del tensors["classifier.weight"]
    assert "classifier.weight is missing" in _refusal(_changed(saved, state_dict=tensors))


def test_no_alphabet_known(seed_checkpoint: SeedCheckpoint) -> None:
    message = _refusal(seed_checkpoint("densenet121"))
    assert "give --alphabet with the 10 characters of its 11 classes" in message


def test_an_alphabet_of_another_size(seed_checkpoint: SeedCheckpoint) -> None:
    message = _refusal(seed_checkpoint("densenet121"), alphabet=Alphabet("abc"))
    assert "11" in message
    assert "4" in message


def test_an_alphabet_other_than_the_cards(saved: Path) -> None:
    assert "leave out --alphabet" in _refusal(saved, alphabet=Alphabet("abcdefghij"))


def test_a_card_that_does_not_fit_the_weights(saved: Path) -> None:
    card = default_card("lite", Alphabet("abc")).to_json()
    assert "has 11 classes" in _refusal(_changed(saved, card=card))
    card = default_card("resnet_cifar", DIGITS).to_json()
    assert "its card is of a resnet_cifar" in _refusal(_changed(saved, card=card))
    assert "not JSON" in _refusal(_changed(saved, card="{"))


def test_a_broken_card_is_named_with_its_file(saved: Path) -> None:
    message = _refusal(_changed(saved, card="{"))
    assert message.startswith(f"{saved}: model card is not JSON")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(saved: Path, value: float) -> None:
    tensors = torch.load(saved, weights_only=True)["state_dict"]
    tensors["classifier.bias"][3] = value
    message = _refusal(_changed(saved, state_dict=tensors))
    assert "holds values that are not finite in classifier.bias: train again" in message


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
    assert "the shipped alphabet zh is this project's own" in caplog.text
