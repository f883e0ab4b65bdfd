"""Pages where many machines or processes read them: what is asked, and the detector's files."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from crnn_runtime import CrnnError, Detection, Detector
from crnn_runtime.model.engine_file import read_detector_engine, sidecar_path
from crnn_runtime.model.model_file import has_suffix
from crnn_runtime.model.onnx_bytes import self_contained
from crnn_runtime.page.reading import Reading
from crnn_runtime.readers.detectors import find_detector

DETECTOR = "detector"
"""Name of its file, before the suffix, beside the reader's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Options for reading pages.

    Attributes:
        detection: how lines are found.
        reading: how they are read.
    """

    detection: Detection
    reading: Reading

    def options(self) -> dict[str, float | None]:
        """All of it by name, for a folder to be gone on with."""
        return dataclasses.asdict(self.detection) | dataclasses.asdict(self.reading)


def detector_files(detector: str | None, detection: Detection) -> dict[str, bytes]:
    """Returns the files of a detector, its network first; checked as far as that goes here.

    Args:
        detector: a name, an ONNX file or an engine; None is the first that is installed.
        detection: what it is to be used for.

    Returns:
        name → content: `DETECTOR` with the suffix of its kind, and of an engine its sidecar.

    Raises:
        CrnnError: it is missing or cannot be used.
    """
    path = find_detector(detector)
    if has_suffix(path, "engine"):  # it may be opened where it will run only
        detection.of(read_detector_engine(path)[0])
        name = f"{DETECTOR}.trt"
        return {
            name: content_of(path),
            sidecar_path(Path(name)).name: content_of(sidecar_path(path)),
        }
    with Detector(path, "cpu", 1, detection):
        return {f"{DETECTOR}.onnx": self_contained(path)}


def content_of(path: Path) -> bytes:
    """A file as bytes; raises CrnnError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CrnnError(f"cannot read {path}: {error.strerror}") from error
