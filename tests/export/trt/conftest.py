from pathlib import Path

import pytest
from tiny_reader import write_tiny_reader


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_reader(tmp_path_factory.mktemp("tiny") / "tiny.onnx")
