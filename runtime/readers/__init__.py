"""The readers that ship with the package: ONNX files beside this one, found by name."""

from pathlib import Path

_FOLDER = Path(__file__).parent
_SUFFIX = ".onnx"


def reader_names() -> list[str]:
    """The readers that can be given by name instead of a path."""
    return sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}"))


def reader_path(name: str) -> Path:
    """Where the reader ``name`` lies, or would lie if it was shipped."""
    return _FOLDER / f"{name}{_SUFFIX}"


def find_model(model: str | Path) -> Path:
    """A model given by path or by the name of a shipped reader → its path.

    Names have no suffix and files of models have one, so a folder of pictures called
    ``digits`` hides nothing; ``./digits`` is always a path.
    """
    name = str(model)
    return reader_path(name) if name in reader_names() else Path(model)
