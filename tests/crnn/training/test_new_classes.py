"""Classes that a start lacks begin from glyphs."""

import string
from pathlib import Path

import pytest
import torch

from crnn import build_model, default_card, save_checkpoint
from crnn.synth.fonts.faces import load_faces
from crnn.synth.fonts.files import find_fonts
from crnn.training.config import TrainConfig
from crnn.training.start import new_classes
from crnn.training.start.new_classes import rows_from_glyphs
from crnn.training.state import start
from crnn_runtime import Alphabet
from crnn_runtime.errors import CrnnError

OLD, NEW = string.ascii_letters + string.punctuation, "0123456789"


@torch.no_grad()
def test_a_row_that_was_taken_away_comes_back() -> None:
    """Rows that are a linear function of the looks are found again for unseen characters."""
    torch.manual_seed(0)
    alphabet = Alphabet(OLD + NEW)
    card = default_card("ppocrv6_tiny", alphabet)
    model = build_model(card.arch, card.num_classes).eval()
    faces = load_faces(find_fonts("packages"))
    chosen = new_classes._one_of_each_family(faces, alphabet.characters)
    seen = new_classes._columns(model, card, alphabet.characters, chosen)
    looks = torch.stack([seen[c] for c in alphabet])
    looks = (looks - looks.mean(0)) / looks.std()
    truth = torch.cat([looks, torch.ones(len(looks), 1)], dim=1)
    model.classifier.weight[1:] = looks
    model.classifier.bias[1:] = 1.0
    known = default_card("ppocrv6_tiny", Alphabet(OLD))
    old = build_model(card.arch, known.num_classes).eval()
    old.load_state_dict(
        {
            n: t[: known.num_classes] if "classifier" in n else t
            for n, t in model.state_dict().items()
        }
    )
    rows = rows_from_glyphs(old, known, NEW, faces)
    assert set(rows) == set(NEW)
    expected = truth[[alphabet.codes[c] - 1 for c in NEW]]
    found = torch.cdist(torch.stack([rows[c] for c in NEW]), expected).argmin(1)
    right = (found == torch.arange(len(NEW))).sum()
    assert right >= 4, "an untrained network's looks are noisy; by chance it would be one"


def _started(folder: Path, **changes: object) -> torch.Tensor:
    torch.manual_seed(1)
    card = default_card("ppocrv6_tiny", Alphabet(OLD))
    save_checkpoint(folder / "old.pth", build_model(card.arch, card.num_classes), card)
    options: dict[str, object] = {
        "arch": card.arch, "alphabet": Alphabet(OLD + NEW), "synth": "latin",
        "synth_options": {"fonts": "packages"}, "init": folder / "old.pth", "directory": folder,
    }  # fmt: skip
    config = TrainConfig(**(options | changes))  # type: ignore[arg-type]
    return start(config, torch.device("cpu")).model.classifier.weight.detach()


def test_a_run_begins_new_classes_from_glyphs_unless_told_not_to(tmp_path: Path) -> None:
    drawn, plain = _started(tmp_path), _started(tmp_path, glyph_start=False)
    assert torch.equal(drawn[: len(OLD) + 1], plain[: len(OLD) + 1])
    mean = plain[1 : len(OLD) + 1].mean(0)
    torch.testing.assert_close(plain[-1], mean)
    assert (drawn[len(OLD) + 1 :] - mean).norm(dim=1).min() > 1e-4


def test_without_a_font_the_mean_stands_in_unless_glyphs_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    fonts = {"synth_options": {"fonts": str(tmp_path / "none")}}
    plain = _started(tmp_path, glyph_start=None, **fonts)
    torch.testing.assert_close(plain[-1], plain[1 : len(OLD) + 1].mean(0))
    with pytest.raises(CrnnError):
        _started(tmp_path, glyph_start=True, **fonts)
