"""Checkpoint to ONNX to TensorRT, each step checked against the one before."""

if __name__ != "crnn_export":
    raise ImportError(f"import this package as crnn_export, not as {__name__}")
