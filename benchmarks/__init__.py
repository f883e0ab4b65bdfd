"""Measurements of this project that anyone can run again."""

import crnn_runtime  # noqa: F401 (before onnxruntime: switches its telemetry off)

if __name__ != "crnn_benchmarks":
    raise ImportError(f"import this package as crnn_benchmarks, not as {__name__}")
