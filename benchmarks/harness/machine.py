"""Describes the machine and the software of a measurement."""

import hashlib
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from crnn_benchmarks.harness.schema import Machine
from crnn_runtime.cpu import available_cpus

_PACKAGES = (
    "crnn", "numpy", "opencv-python-headless", "onnx", "onnxruntime", "onnxruntime-gpu",
    "torch", "tensorrt", "tensorrt-rtx-cu13",
)  # fmt: skip


def this_machine() -> Machine:
    """The machine that this process runs on."""
    cpu, memory, gpus = _cpu(), _memory(), _gpus()
    try:
        own = Path("/etc/machine-id").read_text().strip()
    except OSError:
        own = platform.node()
    traits = "/".join((own, cpu, str(os.cpu_count()), str(memory >> 30), *gpus))
    return Machine(
        id=hashlib.sha256(traits.encode()).hexdigest()[:12],  # says nothing of the host itself
        cpu=cpu,
        cpus=available_cpus(),
        memory=memory,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        gpus=gpus,
        load=load(),
    )


def load() -> float:
    """Processes that wanted a processor, on average of the last minute; 0 if unknown."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of the checkout that this file is in; ``unknown`` elsewhere."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        result = subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False
        )
        return result.stdout.strip() if result.returncode == 0 else ""

    if shutil.which("git") is None or not (found := git("rev-parse", "--short=12", "HEAD")):
        return "unknown"
    return found + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _gpus() -> tuple[str, ...]:
    """As the driver's own tool names them."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return tuple(result.stdout.split("\n")[:-1]) if result.returncode == 0 else ()
