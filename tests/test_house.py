"""The size of what one reads at a time: no file is long, no folder is crowded."""

import ast
from collections import Counter
from collections.abc import Iterator
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


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in ("tools", "tests")])
def test_nothing_imports_from_a_command_but_other_commands(room: str) -> None:
    files = [
        path for path in _files(room) if "cli" not in (*path.relative_to(ROOT).parts, path.stem)
    ]
    assert files
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in _imported(path)
        if "cli" in name.split(".")
    }
    assert wrong == set()
