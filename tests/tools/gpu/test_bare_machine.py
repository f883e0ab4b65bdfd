"""`make gpu-check` on machines that lack something, played by a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SITE = """
import sys
for name in {missing}:
    sys.modules[name] = None
import fake_cuda
from types import SimpleNamespace
cuda = fake_cuda.FakeCuda()
sys.modules["cuda.bindings"] = SimpleNamespace(runtime=cuda, utils=fake_cuda.FakeUtils)
sys.modules["cuda.bindings.utils"] = fake_cuda.FakeUtils
"""


@pytest.mark.slow
def test_without_tensorrt_the_report_names_what_is_missing_and_nothing_else(
    tmp_path: Path,
) -> None:
    missing = ["tensorrt", "tensorrt_rtx", "rapidfuzz", "tomli_w", "fontTools", "onnxscript"]
    (tmp_path / "sitecustomize.py").write_text(SITE.format(missing=missing))
    out, log = tmp_path / "report.md", tmp_path / "check.log"
    path = os.pathsep.join(
        map(str, (tmp_path, ROOT, ROOT / ".typing", ROOT / "tests/support/engines"))
    )
    result = subprocess.run(
        [sys.executable, "-m", "tools.gpu.check", "--out", str(out), "--log", str(log)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 1, result.stderr
    page = out.read_text("utf-8")
    named = re.findall(r"^\| (.+?) \| .+ \| .+ \|$", section(page, "Missing"), re.MULTILINE)
    assert named[1:] == ["TensorRT", "ONNX Runtime CUDA", "export", "reduction", "PyTorch CUDA"]
    assert "no TensorRT is installed" in page
    assert "not installed: rapidfuzz" in page
    # What runs without TensorRT was run, and no more was tried.
    assert re.search(r"^\| CUDA without TensorRT \| \d+ passed", page, re.MULTILINE)
    assert section(page, "Tests").count("\n| ") == 2
    for word in ("No module named", "Error", "error", "FAILED", "failed", "skipped"):
        assert word not in page
    assert "test_cuda_lane.py" in log.read_text("utf-8")


def section(page: str, title: str) -> str:
    """The text between a heading and the next."""
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0]
