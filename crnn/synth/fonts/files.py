"""Finds font files: in Python packages, on the system, in folders, by fontconfig."""

import contextlib
import importlib
import importlib.metadata
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from crnn_runtime.errors import CrnnError

COLLECTIONS = (".ttc", ".otc")
_SUFFIXES = (".ttf", ".otf", *COLLECTIONS)
_SYSTEM_FOLDERS = (
    "/usr/share/fonts", "/usr/share/texmf/fonts/opentype/public/tex-gyre",
    "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts",
)  # fmt: skip


def package_fonts() -> list[Path]:
    """Font files that installed Python packages bring (``fonts_ttf``, ``fontpkg.family``)."""
    files: set[Path] = set()
    for entry in importlib.metadata.entry_points(group="fonts_ttf"):
        files.update(Path(value) for value in entry.load().values())
    for entry in importlib.metadata.entry_points(group="fontpkg.family"):
        folder = Path(str(importlib.import_module(entry.value).__file__)).parent
        files.update(_font_files(folder))
    return sorted(files)


def system_fonts() -> list[Path]:
    """Font files in the usual folders of the system and of the user."""
    files: set[Path] = set()
    for folder in _SYSTEM_FOLDERS:
        # One that may not be read, such as another user's, is as good as none.
        with contextlib.suppress(OSError, RuntimeError):
            files.update(_font_files(Path(folder).expanduser()))
    return sorted(files)


def _font_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def _fontconfig(query: str) -> list[Path]:
    if not shutil.which("fc-list"):
        raise CrnnError(f"font query {query!r} needs fc-list: install fontconfig, or name a folder")
    run = subprocess.run(
        ["fc-list", "-f", "%{file}\n", "--", query], capture_output=True, text=True, check=False
    )
    files = {Path(line) for line in run.stdout.splitlines() if line.lower().endswith(_SUFFIXES)}
    return sorted(files)


def find_fonts(where: str | Path | Sequence[str | Path] | None = None) -> list[Path]:
    """The font files at ``where``.

    Args:
        where: a font file, a folder, ``packages``, ``system``, a fontconfig query such
            as ``:lang=zh-cn``, or several of these; None takes packages and system.

    Raises:
        CrnnError: nothing is found.
    """
    if where is None:
        return package_fonts() + system_fonts()
    if not isinstance(where, str | Path):
        return list(dict.fromkeys(path for one in where for path in find_fonts(one)))
    path = Path(where).expanduser()
    if where == "packages":
        files = package_fonts()
    elif where == "system":
        files = system_fonts()
    elif path.is_file():
        files = [path]
    elif path.is_dir():
        files = _font_files(path)
    elif str(where).startswith(":") or ":" in str(where):
        files = _fontconfig(str(where))
    else:
        raise CrnnError(f"no font file or folder {where}: `fc-list` lists installed fonts")
    if not files:
        raise CrnnError(f"no font in {where}: `make fonts` installs free ones")
    return files
