"""`make gpu-check` on machines that lack something, played by a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.gpu.pieces import PIECES

ROOT = Path(__file__).parents[3]
MISSING = """
for name in {missing}:
    sys.modules[name] = None
"""
CUDA = """
import sys
import fake_cuda
from types import SimpleNamespace
cuda = fake_cuda.FakeCuda()
sys.modules["cuda.bindings"] = SimpleNamespace(runtime=cuda, utils=fake_cuda.FakeUtils)
sys.modules["cuda.bindings.utils"] = fake_cuda.FakeUtils
"""
CHECK = """
import runpy
runpy.run_module("tools.gpu.check", run_name="__main__", alter_sys=True)
"""


def test_with_nothing_but_cuda_the_report_names_what_is_missing_and_nothing_else(
    tmp_path: Path,
) -> None:
    out, log = tmp_path / "report.md", tmp_path / "check.log"
    # Without `site` Python finds no package that is installed.
    command = [sys.executable, "-S", "-c", CUDA + CHECK, "--out", str(out), "--log", str(log)]
    result = run(command, tmp_path)
    assert result.returncode == 1, result.stderr
    assert result.stdout == f"Wrote {out}\n"
    assert result.stderr == ""
    page = out.read_text("utf-8")
    assert re.findall("^#+ (.+)", page, re.MULTILINE) == ["GPU report", "Missing"]
    assert missing_in(page) == list(PIECES)
    assert "not installed: pytest, numpy" in page
    assert not log.exists()


@pytest.mark.slow
def test_without_tensorrt_the_report_names_what_is_missing_and_nothing_else(
    tmp_path: Path,
) -> None:
    missing = ["tensorrt", "tensorrt_rtx", "rapidfuzz", "tomli_w", "fontTools", "onnxscript"]
    (tmp_path / "sitecustomize.py").write_text(CUDA + MISSING.format(missing=missing))
    out, log = tmp_path / "report.md", tmp_path / "check.log"
    command = [sys.executable, "-m", "tools.gpu.check", "--out", str(out), "--log", str(log)]
    result = run(command, tmp_path)
    assert result.returncode == 1, result.stderr
    page = out.read_text("utf-8")
    assert missing_in(page) == [
        "TensorRT",
        "ONNX Runtime CUDA",
        "export",
        "reduction",
        "PyTorch CUDA",
    ]
    assert "no TensorRT is installed" in page
    assert "not installed: rapidfuzz" in page
    # What runs without TensorRT was run, and no more was tried.
    assert re.search(r"^\| CUDA without TensorRT \| \d+ passed", page, re.MULTILINE)
    assert section(page, "Tests").count("\n| ") == 2
    for word in ("No module named", "Error", "error", "FAILED", "failed", "skipped"):
        assert word not in page
    assert "test_cuda_lane.py" in log.read_text("utf-8")


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with this repository's modules, and those of a folder before them."""
    homes = (folder, ROOT, ROOT / ".typing", ROOT / "tests/support/engines")
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, homes))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def missing_in(page: str) -> list[str]:
    """The pieces that a report names as missing."""
    rows = re.findall(r"^\| (.+?) \| .+ \| .+ \|$", section(page, "Missing"), re.MULTILINE)
    return rows[1:]


def section(page: str, title: str) -> str:
    """The text between a heading and the next."""
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0]
