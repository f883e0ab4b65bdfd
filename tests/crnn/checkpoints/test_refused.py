"""Wrong checkpoints: one line that names the file and the reason."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import assert_line
from seed_parity import (
    seed_alphabet,
    seed_state_dict,
)

from crnn.checkpoints import load_model
from crnn.model import CRNN, default_card
from crnn_runtime import Alphabet, CrnnError

DIGITS = Alphabet("0123456789")
SeedCheckpoint = Callable[[str], Path]


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
    assert "none.pth" in _refusal(tmp_path / "none.pth")
    assert str(tmp_path) in _refusal(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x.pth").touch()
    assert "x.pth" in _refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_truncated_file(saved: Path, share: float, zipped: bool) -> None:
    content = torch.load(saved, weights_only=True)
    torch.save(content, saved, _use_new_zipfile_serialization=zipped)
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    assert "truncated" in _refusal(saved)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_code_is_refused_and_not_run(saved: Path, zipped: bool, nested: bool) -> None:
    trace = saved.with_name("was_run")
    content = torch.load(saved, weights_only=True) | {"extra": _RunsCode(trace)}
    torch.save(
        content if nested else content["extra"], saved, _use_new_zipfile_serialization=zipped
    )
    assert "run code" in _refusal(saved)
    assert not trace.exists()


def test_a_plain_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "x.pth", tmp_path / "was_run"
    path.write_bytes(pickle.dumps(_RunsCode(trace)))
    _refusal(path)
    assert not trace.exists()


def test_a_pickled_model_is_refused(tmp_path: Path, lite: CRNN) -> None:
    torch.save(lite, tmp_path / "x.pth")
    assert "tensors" in _refusal(tmp_path / "x.pth")


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
    assert "PyTorch" in _refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "list"),
        (torch.zeros(1), "Tensor"),
        ({}, "state_dict"),
        ({"weights": [1]}, "'weights'"),
        ({"state_dict": None}, "state_dict"),
        ({"state_dict": {1: torch.zeros(1)}}, "x.pth"),
        ({"conv.weight": torch.zeros(8, 3, 3, 3)}, "densenet_cifar"),
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
    assert_line(message, arch, "densenet121")


def test_an_unknown_architecture_is_named(saved: Path) -> None:
    assert "'resnet50'" in _refusal(saved, arch="resnet50")
    assert "resnet50" in _refusal(_changed(saved, arch="resnet50"))
    assert "['lite']" in _refusal(_changed(saved, arch=["lite"]))


def test_weights_of_another_architecture_than_stated(saved: Path) -> None:
    _changed(saved, state_dict=seed_state_dict("resnet_cifar"))
    assert "backbone.layers.0.weight" in _refusal(saved)


def test_a_shape_that_does_not_fit(saved: Path) -> None:
    tensors = torch.load(saved, weights_only=True)["state_dict"]
    tensors["backbone.layers.0.weight"] = torch.zeros(7, 1, 3, 3)
    message = _refusal(_changed(saved, state_dict=tensors))
    assert_line(message, "backbone.layers.0.weight", "(7, 1, 3, 3)")


def test_a_missing_tensor(saved: Path) -> None:
    tensors = torch.load(saved, weights_only=True)["state_dict"]
    del tensors["classifier.bias"]
    assert "classifier.bias" in _refusal(_changed(saved, state_dict=tensors))
    del tensors["classifier.weight"]
    assert "classifier.weight" in _refusal(_changed(saved, state_dict=tensors))


def test_no_alphabet_known(seed_checkpoint: SeedCheckpoint) -> None:
    message = _refusal(seed_checkpoint("densenet121"))
    assert "--alphabet" in message


def test_an_alphabet_of_another_size(seed_checkpoint: SeedCheckpoint) -> None:
    message = _refusal(seed_checkpoint("densenet121"), alphabet=Alphabet("abc"))
    assert "11" in message
    assert "4" in message


def test_an_alphabet_other_than_the_cards(saved: Path) -> None:
    assert_line(_refusal(saved, alphabet=Alphabet("abcdefghij")), saved, "alphabet")


def test_a_card_that_does_not_fit_the_weights(saved: Path) -> None:
    card = default_card("lite", Alphabet("abc")).to_json()
    assert "11" in _refusal(_changed(saved, card=card))
    card = default_card("resnet_cifar", DIGITS).to_json()
    assert "resnet_cifar" in _refusal(_changed(saved, card=card))
    assert_line(_refusal(_changed(saved, card="{")), saved, "card")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(saved: Path, value: float) -> None:
    tensors = torch.load(saved, weights_only=True)["state_dict"]
    tensors["classifier.bias"][3] = value
    message = _refusal(_changed(saved, state_dict=tensors))
    assert "classifier.bias" in message
