"""ONNX to TensorRT: build an engine, read back what it is, write its sidecar."""

from crnn_export.trt.build import EngineInfo, build_engine

__all__ = ["EngineInfo", "build_engine"]
