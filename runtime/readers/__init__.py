"""Readers by name: those that ship with the package, and PP-OCR's where they are installed."""

from pathlib import Path

from crnn_runtime.readers.known import KNOWN, demand_known

_FOLDER = Path(__file__).parent
_SUFFIX = ".onnx"


def reader_names() -> list[str]:
    """The shipped readers: ONNX files beside this one."""
    return sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}"))


def reader_path(name: str) -> Path:
    """Returns the path of the reader ``name``, whether it was shipped or not."""
    return _FOLDER / f"{name}{_SUFFIX}"


def is_reader_name(name: str | Path) -> bool:
    """Whether this is a reader's name, installed or not."""
    return str(name) in KNOWN or str(name) in reader_names()


def find_model(model: str | Path) -> Path:
    """A model given by path or by a reader's name → its path: the one way from one to the other.

    Names have no suffix and files of models have one, so a folder of pictures called
    ``digits`` hides nothing; ``./digits`` is always a path.

    Raises:
        MissingDependencyError: the reader is known by name and not installed.
    """
    name = str(model)
    if name in reader_names():
        return reader_path(name)
    return demand_known(name) if name in KNOWN else Path(model)
