"""Weights out of ONNX files: equal answers, and one line for each way to be wrong."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from used_model import used_model

from crnn.checkpoints import load_checkpoint, load_model
from crnn.folding import convolutions_and_norms, fold_norms
from crnn.model import CRNN, build_model, default_card, load_weights
from crnn_export.to_onnx import export_onnx
from crnn_runtime import Alphabet, CrnnError

DIGITS = Alphabet("0123456789")
BY_ORDER = ("lite", "ppocrv6_tiny", "ppocrv6_small", "pplcnetv3")
FAST = "ppocrv6_tiny"


@pytest.fixture(
    scope="module",
    params=[pytest.param(arch, marks=pytest.mark.xdist_group(arch)) for arch in BY_ORDER],
)
def arch(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def export(model: CRNN, arch: str, path: Path) -> Path:
    export_onnx(model, default_card(arch, DIGITS), path, head="log-probs")
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(used_model(FAST), FAST, tmp_path_factory.mktemp("onnx") / "reader.onnx")


def refusal(path: Path, alphabet: Alphabet | None = None, arch: str | None = None) -> str:
    with pytest.raises(CrnnError) as caught:
        load_model(path, arch, alphabet)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@torch.no_grad()
def test_an_exported_reader_comes_back_with_its_card(arch: str, tmp_path: Path) -> None:
    model = used_model(arch)
    loaded, card = load_model(export(model, arch, tmp_path / "x.onnx"))
    assert (card.arch, card.alphabet, card.head) == (arch, DIGITS, "log-probs")
    for width in (40, 131):
        x = torch.randn(2, model.backbone.in_channels, card.height, width)
        torch.testing.assert_close(loaded(x), model(x), atol=1e-3, rtol=0)


@torch.no_grad()
def test_folding_the_norms_changes_no_answer(arch: str) -> None:
    model = used_model(arch)
    x = torch.randn(2, model.backbone.in_channels, 48, 64)
    expected = model(x)
    norms = sum(isinstance(each, nn.BatchNorm2d) for each in model.modules())
    fold_norms(model, {f"{convolution}.bias" for convolution, _ in convolutions_and_norms(model)})
    assert sum(isinstance(each, nn.BatchNorm2d) for each in model.modules()) < norms
    torch.testing.assert_close(model(x), expected, atol=1e-4, rtol=1e-4)
    again = build_model(arch, DIGITS.num_classes).eval()
    load_weights(again, model.state_dict())
    assert torch.equal(again(x), model(x))


def _changed(path: Path, to: Path, change: str) -> Path:
    model = onnx.load(path)
    graph = model.graph
    if change == "no card":
        del model.metadata_props[:]
    elif change == "renamed":
        new = {tensor.name: f"w{index}" for index, tensor in enumerate(graph.initializer)}
        for tensor in graph.initializer:
            tensor.name = new[tensor.name]
        for node in graph.node:
            node.input[:] = [new.get(name, name) for name in node.input]
        del graph.value_info[:]
    elif change == "float16":
        for index, tensor in enumerate(list(graph.initializer)):
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
                name = tensor.name
                half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
                stored = onnx.numpy_helper.from_array(half, f"{name}.half")
                graph.initializer[index].CopyFrom(stored)
                graph.node.insert(0, onnx.helper.make_node("Cast", [stored.name], [name], to=1))
    elif change == "activation":
        for node in graph.node:
            if node.op_type == "Erf":
                node.op_type = "Tanh"
    onnx.save(model, to)
    return to


@torch.no_grad()
@pytest.mark.parametrize("change", ["no card", "renamed", "float16"])
def test_tensors_are_found_by_order(change: str, exported: Path, tmp_path: Path) -> None:
    path = _changed(exported, tmp_path / "x.onnx", change)
    loaded, card = load_model(path, alphabet=DIGITS)
    assert card.arch == FAST
    x = torch.randn(1, 3, 48, 100)
    atol = 0.05 if change == "float16" else 1e-3
    torch.testing.assert_close(loaded(x), used_model(FAST)(x), atol=atol, rtol=0)


def test_a_shipped_reader_is_a_start_by_its_name() -> None:
    checkpoint = load_checkpoint("digits")
    assert checkpoint.arch == "ppocrv6_tiny"
    assert checkpoint.card is not None
    assert checkpoint.card.alphabet == DIGITS
    assert "backbone.layers.0.conv.bias" in checkpoint.state_dict  # its norms are folded


def test_a_graph_that_computes_something_else_is_refused(exported: Path, tmp_path: Path) -> None:
    refusal(_changed(exported, tmp_path / "x.onnx", "activation"))


def test_another_width_is_refused(tmp_path: Path) -> None:
    wider = used_model("lite")
    path = export(wider, "lite", tmp_path / "x.onnx")
    model = onnx.load(path)
    first = next(t for t in model.graph.initializer if len(t.dims) == 4)
    first.CopyFrom(onnx.numpy_helper.from_array(np.zeros((7, 1, 3, 3), np.float32), first.name))
    onnx.save(model, path)
    refusal(path)


def test_the_space_that_a_dictionary_leaves_out_is_added(exported: Path, tmp_path: Path) -> None:
    path = _changed(exported, tmp_path / "x.onnx", "no card")
    dictionary = tmp_path / "dict.txt"
    dictionary.write_text("\n".join("012345678"), encoding="utf-8")
    checkpoint = load_checkpoint(path, alphabet=dictionary)
    assert checkpoint.card is not None
    assert checkpoint.card.alphabet.characters == tuple("012345678 ")


def test_alphabets_that_do_not_fit_are_refused_with_both_counts(
    exported: Path, tmp_path: Path
) -> None:
    path = _changed(exported, tmp_path / "x.onnx", "no card")
    message = refusal(path, Alphabet("abc"))
    assert "11" in message
    assert "3" in message
    refusal(path)  # no alphabet at all
    refusal(exported, Alphabet("9876543210"))
    refusal(exported, arch="lite")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_a_damaged_file_is_refused(share: float, exported: Path, tmp_path: Path) -> None:
    whole = exported.read_bytes()
    path = tmp_path / "x.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    refusal(path)
    refusal(tmp_path / "none.onnx")


@pytest.mark.parametrize("axes", [2, 4])
def test_a_detector_or_a_classifier_is_refused(axes: int, tmp_path: Path) -> None:
    net: nn.Module = nn.Conv2d(3, 1, 3, padding=1)
    if axes == 2:
        net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    path = tmp_path / "x.onnx"
    torch.onnx.export(
        net.eval(),
        (torch.zeros(1, 3, 48, 64),),
        path,
        dynamo=True,
        verbose=False,
        external_data=False,
    )
    refusal(path, DIGITS)
