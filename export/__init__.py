"""Checkpoint to ONNX to TensorRT, each step checked against the one before."""

import crnn_runtime  # noqa: F401 (before onnxruntime: switches its telemetry off)

if __name__ != "crnn_export":
    raise ImportError(f"import this package as crnn_export, not as {__name__}")
