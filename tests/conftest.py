"""Fixtures that several folders of tests share."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

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
