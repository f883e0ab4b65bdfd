"""Read lines of text with an exported model. Needs no training library.

>>> from crnn_runtime import Recognizer
>>> Recognizer("reader.onnx").read(["line.jpg"])[0].text  # doctest: +SKIP
'停下来，看着那些握着'
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if __name__ != "crnn_runtime":
    raise ImportError(f"import this package as crnn_runtime, not as {__name__}")

# Read when onnxruntime is imported: else it writes a device id and a database of events into
# the home folder, and sends these to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from crnn_runtime.decode.decoding import Decoding
    from crnn_runtime.errors import (
        CrnnError,
        ImageError,
        MissingDependencyError,
        ModelError,
    )
    from crnn_runtime.line import Alternative, Char, Line
    from crnn_runtime.model.alphabet import Alphabet
    from crnn_runtime.model.card import ModelCard
    from crnn_runtime.page.detect import Detection, Detector
    from crnn_runtime.page.page import Page, PageLine
    from crnn_runtime.recognizer import Recognizer

# Loaded at first use: `crnn-infer --help` must not wait for numpy and OpenCV.
_HOMES = {
    "Alphabet": "model.alphabet",
    "Alternative": "line",
    "Char": "line",
    "CrnnError": "errors",
    "Decoding": "decode.decoding",
    "Detection": "page.detect",
    "Detector": "page.detect",
    "ImageError": "errors",
    "Line": "line",
    "MissingDependencyError": "errors",
    "ModelCard": "model.card",
    "ModelError": "errors",
    "Page": "page.page",
    "PageLine": "page.page",
    "Recognizer": "recognizer",
}

__all__ = [
    "Alphabet",
    "Alternative",
    "Char",
    "CrnnError",
    "Decoding",
    "Detection",
    "Detector",
    "ImageError",
    "Line",
    "MissingDependencyError",
    "ModelCard",
    "ModelError",
    "Page",
    "PageLine",
    "Recognizer",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
