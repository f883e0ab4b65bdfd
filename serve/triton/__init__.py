"""A model repository that NVIDIA's Triton Inference Server loads, see docs/triton.md."""

from crnn_serve.triton.options import Serving
from crnn_serve.triton.repository import Written, write_model

__all__ = ["Serving", "Written", "write_model"]
