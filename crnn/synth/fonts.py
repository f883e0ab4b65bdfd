"""Fonts: where they are found, which characters each face has, how one is chosen."""

import dataclasses
import hashlib
import importlib
import importlib.metadata
import logging
import random
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from fontTools.ttLib import TTCollection, TTFont, TTLibError

from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)

Split = Literal["train", "heldout", "all"]

_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_SYSTEM_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
_HELD_OUT_SHARE = 0.15


@dataclasses.dataclass(frozen=True)
class Face:
    """One face of one font file.

    Attributes:
        path: the font file.
        index: number of the face in a collection, else 0.
        family: family name; faces are chosen family first.
        style: such as ``Bold Italic``.
        axes: a variable font's coordinates, empty for a static one.
        coverage: bit ``c`` is set when the cmap maps code point ``c``.
    """

    path: str
    index: int
    family: str
    style: str
    axes: tuple[float, ...]
    coverage: bytes = dataclasses.field(repr=False, compare=False)

    def covers(self, text: Iterable[str]) -> bool:
        """True if the cmap has every character of ``text``."""
        coverage = self.coverage
        end = len(coverage) * 8
        for character in text:
            code = ord(character)
            if code >= end or not coverage[code >> 3] >> (code & 7) & 1:
                return False
        return True


def bitmap(codes: Iterable[int]) -> bytes:
    """A bit per code point, as `Face.coverage` holds them."""
    codes = [*codes]
    bits = bytearray(max(codes, default=0) // 8 + 1)
    for code in codes:
        bits[code >> 3] |= 1 << (code & 7)
    return bytes(bits)


def read_faces(path: Path) -> list[Face]:
    """Every face of a font file; a variable font gives one face per named instance.

    Raises:
        CrnnError: the file is not a usable font.
    """
    try:
        if path.suffix.lower() in (".ttc", ".otc"):
            with TTCollection(path, lazy=True) as collection:
                return [
                    face
                    for index, font in enumerate(collection.fonts)
                    for face in _faces_of(path, index, font)
                ]
        with TTFont(path, lazy=True) as font:
            return _faces_of(path, 0, font)
    except OSError as error:
        raise CrnnError(f"cannot read font {path}: {error.strerror or error}") from error
    except Exception as error:  # fontTools raises nearly anything on a damaged table
        raise CrnnError(f"font {path} is broken: {error or type(error).__name__}") from error


def _faces_of(path: Path, index: int, font: TTFont) -> list[Face]:
    cmap = font.getBestCmap()
    if not cmap:
        raise TTLibError("it maps no Unicode characters")
    coverage = bitmap(cmap)
    names = font["name"]
    family = names.getBestFamilyName() or path.stem
    style = names.getBestSubFamilyName() or "Regular"
    if "fvar" not in font:
        return [Face(str(path), index, family, style, (), coverage)]
    fvar = font["fvar"]
    tags = [axis.axisTag for axis in fvar.axes]
    return [
        Face(
            str(path),
            index,
            family,
            names.getDebugName(instance.subfamilyNameID) or style,
            tuple(float(instance.coordinates[tag]) for tag in tags),
            coverage,
        )
        for instance in fvar.instances
    ] or [Face(str(path), index, family, style, tuple(a.defaultValue for a in fvar.axes), coverage)]


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
    folders = [Path(folder).expanduser() for folder in _SYSTEM_FOLDERS]
    return sorted({file for folder in folders for file in _font_files(folder)})


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
        raise CrnnError(f"no font file or folder {where}: see `fc-list` for what is installed")
    if not files:
        raise CrnnError(f"no font in {where}: `make fonts` installs free ones")
    return files


def held_out(name: str) -> bool:
    """True for the fixed share of names (font families, words) that ``heldout`` keeps."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest) < _HELD_OUT_SHARE * 2**64


class FontSet:
    """Faces grouped by family, from which one is drawn for a given text.

    Args:
        faces: the candidates.
        split: ``train`` leaves out the families of which `held_out` is true,
            ``heldout`` takes only them (at least one family is always held out).

    Raises:
        CrnnError: no face is left.
    """

    def __init__(self, faces: Iterable[Face], *, split: Split = "all") -> None:
        families: dict[str, list[Face]] = {}
        for face in faces:
            families.setdefault(face.family, []).append(face)
        names = sorted(families)
        if split != "all":
            out = {name for name in names if held_out(name)} or set(names[:1])
            names = [name for name in names if (name in out) == (split == "heldout")]
        if not names:
            raise CrnnError(
                f"no font family is left for split {split!r}: `make fonts` installs more"
            )
        self.families = [families[name] for name in names]

    def __len__(self) -> int:
        return sum(map(len, self.families))

    def choose(self, rng: random.Random, text: str) -> Face | None:
        """A random face that has every character of ``text``, family first; None if none has."""
        characters = set(text)
        for _ in range(6):
            face = rng.choice(rng.choice(self.families))
            if face.covers(characters):
                return face
        fit = [[face for face in family if face.covers(characters)] for family in self.families]
        fit = [family for family in fit if family]
        return rng.choice(rng.choice(fit)) if fit else None
