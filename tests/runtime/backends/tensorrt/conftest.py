from collections.abc import Iterator
from pathlib import Path

import fake_gpu
import pytest
from engine_checks import PROFILES
from tiny_reader import tiny_card, tiny_model, write_tiny_reader


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_gpu.FakeGpu]:
    yield fake_gpu.install(monkeypatch, PROFILES)
    monkeypatch.undo()
    fake_gpu.uninstall()


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    data = tiny_model().SerializeToString()
    return fake_gpu.write_fake_engine(tmp_path / "x.trt", data, tiny_card(), PROFILES)


@pytest.fixture
def rtx_engine(tmp_path: Path) -> Path:
    data = tiny_model().SerializeToString()
    path = tmp_path / "rtx.trt"
    return fake_gpu.write_fake_engine(path, data, tiny_card(), PROFILES, flavour="rtx")


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_reader(tmp_path_factory.mktemp("onnx") / "x.onnx")
