"""The runtime must run where no training or export library is installed."""

import pkgutil
import subprocess
import sys

import crnn_runtime

BLOCKED = ("torch", "torchvision", "onnx", "onnxscript", "tensorrt", "PIL", "rapidfuzz")
# Needs its own inference library, which a runtime without TensorRT has not.
SCRIPT = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
import importlib
for name in {modules!r}:
    importlib.import_module(name)
print(len({modules!r}), sorted(set(sys.modules) & set({blocked!r})))
"""


def test_every_module_imports_without_training_libraries() -> None:
    modules = [
        module.name for module in pkgutil.walk_packages(crnn_runtime.__path__, "crnn_runtime.")
    ]
    assert len(modules) > 10
    script = SCRIPT.format(blocked=(*BLOCKED, "tensorrt_rtx"), modules=modules)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.stdout == f"{len(modules)} []\n", result.stderr


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = (
        "import sys, crnn_runtime.cli.infer; print({'numpy', 'cv2', 'torch'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
