"""Fixtures import what they need: `test_cuda_lane` runs where there is but CUDA."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fake_gpu import FakeGpu

    from crnn_runtime.model.engine_file import Flavour


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> "Iterator[FakeGpu]":
    import fake_gpu
    from engine_checks import PROFILES

    yield fake_gpu.install(monkeypatch, PROFILES)
    monkeypatch.undo()
    fake_gpu.uninstall()


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return write_tiny_engine(tmp_path / "x.trt", "tensorrt")


@pytest.fixture
def rtx_engine(tmp_path: Path) -> Path:
    return write_tiny_engine(tmp_path / "rtx.trt", "rtx")


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_reader import write_tiny_reader

    return write_tiny_reader(tmp_path_factory.mktemp("onnx") / "x.onnx")


def write_tiny_engine(path: Path, flavour: "Flavour") -> Path:
    """An engine of the stand-in, and its sidecar."""
    from engine_checks import PROFILES
    from fake_gpu import write_fake_engine
    from tiny_reader import tiny_card, tiny_model

    data = tiny_model().SerializeToString()
    return write_fake_engine(path, data, tiny_card(), PROFILES, flavour=flavour)
