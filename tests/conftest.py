"""Fixtures that several folders of tests share."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip

# Before torch is loaded: idle threads must not spin, and each parallel worker has one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Some tests import ONNX Runtime themselves.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def seed_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Architecture → a checkpoint as its original project writes it, see `seed_parity`."""
    # Imported here: tests of the runtime also run where torch is missing.
    from seed_parity import write_seed_checkpoint

    folder = tmp_path_factory.mktemp("seed")
    return cache(lambda arch: write_seed_checkpoint(arch, folder / f"{arch}_best.pth.tar"))


@pytest.fixture(scope="session")
def exported(
    seed_checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Architecture → float32 ONNX file with all log-probabilities, by `crnn-export`.

    Made of the original project's checkpoint where there is one.
    """
    import torch
    from click.testing import CliRunner
    from seed_parity import ARCHS, seed_alphabet

    from crnn import build_model
    from crnn.checkpoints import save_checkpoint
    from crnn.model import default_card
    from crnn_export.cli.export import main

    folder = tmp_path_factory.mktemp("exported")

    @cache
    def export(arch: str) -> Path:
        alphabet = seed_alphabet(arch)
        if arch in ARCHS:
            checkpoint = seed_checkpoint(arch)
        else:
            torch.manual_seed(0)
            model = build_model(arch, alphabet.num_classes)
            torch.nn.init.normal_(model.classifier.weight, std=0.5)
            checkpoint = folder / f"{arch}.pth"
            save_checkpoint(checkpoint, model, default_card(arch, alphabet))
        out = folder / f"{arch}.onnx"
        arguments = ["--arch", arch, "--ckpt", str(checkpoint), "--alphabet", "".join(alphabet)]
        result = CliRunner().invoke(main, [*arguments, "--head", "log-probs", "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert "Parity with PyTorch on 15 shapes" in result.output
        return out

    return export


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium; tests that need it are skipped where it is missing."""
    from proxy import NAME

    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not _CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=[*_FLAGS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
        )
        yield browser
        browser.close()
