"""ONNX Runtime sends nothing and writes nothing unless it is told that it may."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from barcode import write_barcode_reader

READ = "import numpy as np; from crnn_runtime import Recognizer\n" + (
    "import sys; Recognizer(sys.argv[1], threads=1).read([np.full((32, 80), 255, np.uint8)])"
)


@pytest.mark.parametrize(
    "code",
    [READ, "import crnn_export.precision.measure\n" + READ],
    ids=["runtime", "export"],
)
def test_reading_a_line_leaves_no_files_at_home(tmp_path: Path, code: str) -> None:
    if "crnn_export" in code:
        pytest.importorskip("torch")
    model = write_barcode_reader(tmp_path / "reader.onnx")
    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    subprocess.run([sys.executable, "-c", code, model], env=environment, check=True)
    assert [path for path in home.rglob("*") if path.is_file()] == []
