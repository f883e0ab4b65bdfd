"""A small reader, and its checkpoint."""

from pathlib import Path

import pytest
import torch

from crnn.checkpoints import save_checkpoint
from crnn.model import CRNN, build_model, default_card
from crnn_runtime import Alphabet

DIGITS = Alphabet("0123456789")


@pytest.fixture(scope="module")
def lite() -> CRNN:
    torch.manual_seed(0)
    return build_model("lite", DIGITS.num_classes).eval()


@pytest.fixture
def saved(tmp_path: Path, lite: CRNN) -> Path:
    path = tmp_path / "reader.pth"
    save_checkpoint(path, lite, default_card("lite", DIGITS))
    return path
