"""Checkpoint → ONNX, for real, with every architecture."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from crnn import build_model
from crnn.model import default_card
from crnn_export.parity import Parity, check_parity, network, widths_to_compare
from crnn_export.to_onnx import ParityError, export_onnx, flush_denormals
from crnn_runtime import Alphabet
from crnn_runtime.backends import OUTPUT_NAMES, open_backend
from crnn_runtime.model.card import HEADS

DIGITS = Alphabet("0123456789")
FAST = "lite"


def make(arch: str, alphabet: Alphabet = DIGITS) -> tuple[torch.nn.Module, object]:
    torch.manual_seed(0)
    model = build_model(arch, alphabet.num_classes).eval()
    # Even probabilities would let a wrong graph pass for a right one.
    torch.nn.init.normal_(model.classifier.weight, std=0.05)
    return model, default_card(arch, alphabet)


def test_a_reader_is_exported_with_dynamic_axes_and_its_card(tmp_path: Path) -> None:
    """Every architecture is exported in test_cli.py, with the original's weights."""
    model, card = make(FAST)
    path = tmp_path / "model.onnx"
    written, parity = export_onnx(model, card, path)
    assert parity.holds
    assert parity.shapes == 15
    assert parity.steps > 1000
    with open_backend(path) as backend:
        assert backend.card == written
        assert backend.card.num_classes == 11
        assert backend.card.export["parity"]["max_difference"] == parity.max_difference
    dims = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == [
        "batch", card.channels, card.height, "width"
    ]  # fmt: skip


def test_no_node_tells_where_its_code_lay(exported: dict[str, Path]) -> None:
    for path in exported.values():
        model = onnx.load(path)
        assert not [node.name for node in model.graph.node if node.metadata_props]
        assert str(Path(torch.__file__).parent).encode() not in path.read_bytes()
        assert b"crnn/model.py" not in path.read_bytes()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The fast architecture with each head."""
    folder = tmp_path_factory.mktemp("exported")
    paths = {head: folder / f"{head}.onnx" for head in HEADS}
    for head, path in paths.items():
        export_onnx(*make(FAST), path, head=head, topk=3)
    return paths


@pytest.mark.parametrize("head", HEADS)
def test_every_head_gives_what_its_name_says(head: str, exported: dict[str, Path]) -> None:
    model, card = make(FAST)
    path = exported[head]
    images = np.random.default_rng(0).standard_normal((3, card.channels, 32, 200), np.float32)
    with torch.inference_mode():
        log_probs = model(torch.from_numpy(images)).numpy()
    with open_backend(path) as backend:
        outputs = backend.infer(images)
    assert tuple(outputs) == OUTPUT_NAMES[head]
    if head == "greedy":
        chosen = np.take_along_axis(log_probs, outputs["ids"][:, :, None].astype(int), 2)
        best = log_probs.max(2)
        np.testing.assert_allclose(chosen[:, :, 0], best, atol=1e-4)  # two may tie
        np.testing.assert_allclose(outputs["probs"], np.exp(best), rtol=1e-3)
    elif head == "topk":
        assert outputs["topk_ids"].shape == (*log_probs.shape[:2], 3)
        chosen = np.take_along_axis(log_probs, outputs["topk_ids"].astype(int), 2)
        best = -np.sort(-log_probs, axis=2)[:, :, :3]
        np.testing.assert_allclose(chosen, best, atol=1e-4)  # two may tie
        np.testing.assert_allclose(outputs["topk_log_probs"], best, atol=1e-4)
    else:
        np.testing.assert_allclose(outputs["log_probs"], log_probs, atol=1e-4)


def test_a_file_that_disagrees_is_not_written(tmp_path: Path) -> None:
    model, card = make(FAST)
    path = tmp_path / "model.onnx"
    path.write_text("the old file")

    # Tracing sees the model, the gate sees another one: a graph that went wrong.
    class Deceiver(type(model)):
        def logits(self, x: torch.Tensor) -> torch.Tensor:
            scale = 1.01 if torch.compiler.is_compiling() else 1
            return super().logits(x) * scale

    model.__class__ = Deceiver
    with pytest.raises(ParityError):
        export_onnx(model, card, path)
    assert path.read_text() == "the old file"
    assert list(tmp_path.iterdir()) == [path]


def test_the_gate_notices_one_wrong_weight(exported: dict[str, Path]) -> None:
    model, card = make(FAST)
    path = exported["log-probs"]
    assert check_parity(network(model, card), path).holds
    with torch.no_grad():
        model.classifier.weight[3, 5] += 0.01
    parity = check_parity(network(model, card), path)
    assert not parity.holds
    assert parity.max_difference > 1e-4


@pytest.mark.parametrize("width", [None, 100, 280, 2000])
def test_five_different_widths_are_compared(width: int | None) -> None:
    _, card = make(FAST)
    widths = widths_to_compare(card.replace(width=width))
    assert len(set(widths)) == len(widths) == 5
    assert width is None or width in widths


def test_a_line_that_reads_differently_fails_the_gate() -> None:
    agrees = Parity(shapes=15, steps=9, max_difference=0.0, ties=0, flips=0, lines=2)
    assert agrees.holds
    assert not Parity(15, 9, 0.0, 0, 0, 2, 1).holds
    assert not Parity(15, 9, 0.0, 0, 1).holds
    assert Parity(15, 9, 0.0, 3, 0).holds  # ties are no one's fault


def test_denormal_weights_are_flushed() -> None:
    model, _ = make(FAST)
    with torch.no_grad():
        model.classifier.weight[0, :2] = torch.tensor([1e-40, 1e-30])
    flush_denormals(model)
    assert model.classifier.weight[0, :2].tolist() == [0, pytest.approx(1e-30)]
