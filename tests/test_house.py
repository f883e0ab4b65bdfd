"""The size of what one reads at a time: no file is long, no folder is crowded."""

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("crnn", "runtime", "export", "serve", "benchmarks", "tools", "tests")
LINES, MODULES = 350, 15


def _files(room: str) -> list[Path]:
    return [path for path in (ROOT / room).rglob("*.py") if "build" not in path.parts]


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_is_too_long(room: str) -> None:
    lengths = {str(path): len(path.read_text("utf-8").splitlines()) for path in _files(room)}
    assert lengths
    assert {path: length for path, length in lengths.items() if length > LINES} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_folder_is_crowded(room: str) -> None:
    counts = Counter(path.parent for path in _files(room))
    assert {folder: count for folder, count in counts.items() if count > MODULES} == {}
