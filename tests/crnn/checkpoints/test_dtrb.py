"""Checkpoints of deep-text-recognition-benchmark and EasyOCR give what their networks give."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from seed_parity import draw_tensor

from crnn import load_checkpoint, load_model
from crnn_runtime import Alphabet
from crnn_runtime.errors import ModelError

DATA = Path(__file__).parents[2] / "data" / "dtrb_parity"
ALPHABET = Alphabet("0123456789abcdefghijklmnopqrstuvwxyz")
# Case → our architecture, height, fixed width.
CASES = {
    "VGG-512-256": ("dtrb_vgg", 32, 100),
    "ResNet-512-256": ("dtrb_resnet", 32, 100),
    "VGG-256-256": ("dtrb_vgg-256-256", 64, None),
    "ResNet-512-512": ("dtrb_resnet-512-512", 64, None),
}


def state_dict(case: str, prefix: str = "") -> dict[str, torch.Tensor]:
    keys = json.loads((DATA / "state_dict_keys.json").read_text("utf-8"))[case]
    pairs = keys.items() if isinstance(keys, dict) else keys
    return {prefix + name: torch.from_numpy(draw_tensor(name, tuple(s))) for name, s in pairs}


@pytest.mark.parametrize("case", CASES)
def test_it_reads_as_its_home_project_does(case: str, tmp_path: Path) -> None:
    file = tmp_path / "best_accuracy.pth"
    torch.save(state_dict(case, "module."), file)
    model, card = load_model(file, alphabet=ALPHABET)
    arch, height, width = CASES[case]
    assert (card.arch, card.height, card.width, card.color) == (arch, height, width, "gray")
    with np.load(DATA / "log_probs.npz") as answers:
        for line_width in (100, 280, 64):
            lines = np.random.default_rng(line_width).standard_normal((2, 1, height, line_width))
            with torch.inference_mode():
                found = model(torch.from_numpy(lines.astype(np.float32)))
            expected = torch.from_numpy(answers[f"{case}/{line_width}"])
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_file_of_other_shapes_is_refused(tmp_path: Path) -> None:
    tensors = state_dict("VGG-256-256")
    tensors["SequenceModeling.1.linear.weight"] = torch.zeros(128, 512)
    torch.save(tensors, tmp_path / "x.pth")
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "x.pth")


def test_an_unknown_size_is_read_off_the_tensors(tmp_path: Path) -> None:
    from crnn import build_model, default_card, save_checkpoint

    card = default_card("dtrb_vgg-32-24", ALPHABET)
    model = build_model(card.arch, card.num_classes)
    save_checkpoint(tmp_path / "small.pth", model, card)
    again = load_checkpoint(tmp_path / "small.pth")
    assert again.arch == "dtrb_vgg-32-24"
    assert again.build().backbone.out_features == 24
