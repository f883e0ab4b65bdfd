"""Suggests folders for pictures that a data set does not find: one line instead of a thousand."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

MANY = 10
"""Missing pictures from which on a search for them is worth while."""
_TRIED = 20  # of the missing pictures
_FOLDERS = 50  # below the data set that are searched, at most


def explain_missing(images: Sequence[str], total: int, root: Path) -> str:
    """One line about pictures that are not there: how many, where they were looked for.

    If they are near, it says how to have them found.

    Args:
        images: paths of the missing ones, as the annotations name them.
        total: lines of the annotations.
        root: where they were looked for, and in its folder ``images``.
    """
    said = (
        f"{len(images)} of {total} pictures are missing, the first is {images[0]}; they were "
        f"looked for in {' and '.join(map(str, _looked_in(root)))}"
    )
    return f"{said}{_where_they_are(images[: _TRIED * 50 : 50], root)}"


def _where_they_are(images: Sequence[str], root: Path) -> str:
    found: Counter[tuple[Path, int]] = Counter()
    for image in images:
        parts = _parts(image)
        for folder in _folders(root):
            for cut in range(len(parts)):
                if _is_file(folder.joinpath(*parts[cut:])):
                    found[folder, cut] += 1
                    break
    if not found:
        return ""
    (folder, cut), count = found.most_common(1)[0]
    if 2 * count < len(images):
        return ""
    parts = _parts(images[0])
    if "\\" in images[0] and not _is_file(folder / images[0]):
        return f": {folder.joinpath(*parts[cut:])} is there, so write / in place of \\ in the paths"
    if cut:
        prefix = "/".join(parts[:cut])
        option = "" if folder in _looked_in(root) else f" and with --image-root {folder}"
        return f": without {prefix}/ at the start of their paths{option} they are found"
    return f": --image-root {folder} finds them"


def _looked_in(root: Path) -> tuple[Path, Path]:
    return root / "images", root


def _parts(image: str) -> list[str]:
    return [part for part in re.split(r"[\\/]", image) if part not in ("", ".")]


def _folders(root: Path) -> list[Path]:
    """Returns the folders to search: the data set, those in it, those around it."""
    folders = [*_looked_in(root), root.parent]
    try:
        inner = sorted(path for path in root.glob("*/") if path.is_dir())
    except OSError:
        inner = []
    folders += inner[:_FOLDERS]
    folders += [path / "images" for path in inner[:_FOLDERS]]
    return list(dict.fromkeys(folders))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
