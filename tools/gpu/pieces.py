"""The packages and devices that a check of a GPU needs, and which of them are missing here."""

import importlib.util
from typing import Literal, get_args

from crnn_runtime.backends.cuda_device import capability, device_count
from crnn_runtime.backends.tensorrt.library import is_installed, load_library
from crnn_runtime.errors import CrnnError, install_command
from crnn_runtime.model.engine_file import FLAVOURS, RTX_TARGETS

Piece = Literal[
    "tests", "TensorRT", "ONNX Runtime CUDA", "ONNX Runtime", "export", "reduction", "PyTorch CUDA"
]
PIECES: tuple[Piece, ...] = get_args(Piece)

NEEDED_FOR: dict[Piece, str] = {
    "tests": "running any test",
    "TensorRT": "engines: their tests, texts and times",
    "ONNX Runtime CUDA": "ONNX files on the GPU",
    "ONNX Runtime": "the reference on the CPU, which everything is compared with",
    "export": "making the ONNX files and engines",
    "reduction": "engines in fp16 and int8",
    "PyTorch CUDA": "the network in PyTorch, which `crnn-bench latency` compares with",
}
_MODULES: dict[Piece, dict[str, str]] = {
    "tests": {"pytest": "pytest", "numpy": "numpy"},
    "ONNX Runtime": {
        "onnxruntime": "onnxruntime",
        "cv2": "opencv-python-headless",
        "numpy": "numpy",
    },
    "export": {
        "torch": "torch",
        "torchvision": "torchvision",
        "PIL": "pillow",
        "onnx": "onnx",
        "onnxscript": "onnxscript",
    },
    "reduction": {"rapidfuzz": "rapidfuzz", "onnxconverter_common": "onnxconverter-common"},
}


def find_missing() -> dict[Piece, str]:
    """Piece → why it cannot be used here; those that can be are not in it."""
    found = {piece: _why_not(piece) for piece in PIECES}
    return {piece: reason for piece, reason in found.items() if reason}


def why_no_engine() -> str:
    """Says why no engine can be run here; empty if one can."""
    if device_count() == 0:
        return "no NVIDIA GPU can be used here"
    refused = []
    for flavour in FLAVOURS:
        if not is_installed(flavour):
            continue
        try:
            load_library(flavour)
        except CrnnError as error:
            refused.append(str(error))
            continue
        here = f"sm_{capability(0)}"
        if flavour == "tensorrt" or here in RTX_TARGETS:
            return ""
        served = ", ".join(RTX_TARGETS)
        refused.append(f"TensorRT for RTX serves {served}, this GPU is {here}")
    return "; ".join(refused) or (
        f"no TensorRT is installed: {install_command('tensorrt')} or, for GeForce and RTX cards, "
        f"{install_command('rtx')}"
    )


def _why_not(piece: Piece) -> str:
    if piece == "TensorRT":
        return why_no_engine()
    if piece == "ONNX Runtime CUDA":
        return _why_no_provider()
    if piece == "PyTorch CUDA":
        return _why_no_torch()
    packages = [package for module, package in _MODULES[piece].items() if not _is_there(module)]
    return f"not installed: {', '.join(packages)}" if packages else ""


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _why_no_provider() -> str:
    if not _is_there("onnxruntime"):
        return f"not installed: {install_command('gpu')}"
    import onnxruntime as ort  # noqa: PLC0415

    if "CUDAExecutionProvider" in ort.get_available_providers():
        return ""
    return f"this build is for the CPU: pip uninstall onnxruntime, then {install_command('gpu')}"


def _why_no_torch() -> str:
    if not _is_there("torch"):
        return "not installed: torch"
    import torch  # noqa: PLC0415

    return "" if torch.cuda.is_available() else "this build of torch cannot use the GPU"
