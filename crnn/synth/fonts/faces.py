"""Font faces: which characters each has, of which kind it is, how one is drawn for a text."""

import dataclasses
import functools
import itertools
import logging
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTCollection, TTFont

from crnn.synth.fonts.cmap import Codes, read_codes
from crnn.synth.fonts.files import COLLECTIONS
from crnn.synth.split import Split, held_out
from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)
logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of harmless flaws

# The first pattern that a family's name matches says its kind; sans is the rest.
_KINDS = {
    "segment": r"dseg|segment",
    "pixel": r"dotgothic|unifont|pixel|proggy|terminus",
    "typewriter": r"courier|typewriter|gyre cursor|free ?mono",
    "mono": r"mono|courier|consol|code|hack|ocr|typewriter|nimbus sans l mono",
    "hand": r"hand|script|breip|humor|ecolier|rufscript|juice|delphine|steve|comic|lobster|femke|"
    r"gyre chorus",
    "kai": r"kai|楷|ma shan",
    "fangsong": r"cwtexfs|fang|仿",
    "display": r"bebas|smiley|cwtexyen|cwtex.*圓|black ops|得意",
    "serif": r"(?<!sans.)serif|song|sung|ming|roman|times|tinos|libertine|garamond|didot|"
    r"vollkorn|caladea|slab|lora|babelstone|xiaowei|concrete|termes|pagella|bonum|schola|宋|明",
}
KINDS = (*_KINDS, "sans")

# Faces of one collection that draw a region's forms; the one for simplified Chinese stays.
_OTHER_REGION = re.compile(r" (JP|KR|TC|HK|TW|TW MBE)\b")
_NO_TEXT = re.compile(
    r"weather|ggchan|emoji|symbol|dingbats|math|keyboard|lignes|icons|initials", re.I
)
_CAPITALS_ONLY = re.compile(r"bebas|small.?caps|\bsc\b$", re.I)
_SEGMENT_CODES = [*map(ord, "0123456789-.: ")]
# What tells relatives of one design apart: they stay on one side of a split.
_VARIANT = re.compile(r" (mono|code|sans mono|narrow|condensed|sharp|mini|display|o)\b", re.I)
_MOST_FACES = 10  # of a family
_SLANTED = re.compile(r"italic|oblique|\bit\b", re.I)
HAN = "的"
"""A font that has this character is a Chinese one."""


@dataclasses.dataclass(frozen=True)
class Face:
    """One face of one font file.

    Attributes:
        path: the font file.
        index: number of the face in a collection, else 0.
        family: family name; faces are chosen family first.
        style: such as ``Bold Italic``.
        axes: a variable font's coordinates, empty for a static one.
        kind: one of `KINDS`.
        coverage: bit ``c`` is set when the cmap maps code point ``c``.
    """

    path: str
    index: int
    family: str
    style: str
    axes: tuple[float, ...]
    kind: str
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


def bitmap(codes: Codes) -> bytes:
    """A bit per code point, as `Face.coverage` holds them."""
    flags = np.zeros(int(codes.max(initial=0)) + 1, bool)
    flags[codes] = True
    return np.packbits(flags, bitorder="little").tobytes()


@functools.lru_cache(maxsize=2048)
def read_faces(path: Path) -> Sequence[Face]:
    """Every face of a font file; a variable font gives one face per named instance.

    Remembered: training and validation draw in the same hundreds of fonts.

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
    names = font["name"]
    family = names.getBestFamilyName() or path.stem
    style = names.getBestSubFamilyName() or "Regular"
    if _NO_TEXT.search(f"{family} {style}"):
        return []
    if path.suffix.lower() in COLLECTIONS and _OTHER_REGION.search(family):
        return []
    kind = kind_of(family)
    coverage = bitmap(_codes(font, family, kind))
    if "fvar" not in font:
        return [Face(str(path), index, family, style, (), kind, coverage)]
    axes = font["fvar"].axes
    faces = []
    for instance in font["fvar"].instances:
        named = names.getDebugName(instance.subfamilyNameID) or style
        place = tuple(float(instance.coordinates[axis.axisTag]) for axis in axes)
        faces.append(Face(str(path), index, family, named, place, kind, coverage))
    default = tuple(float(axis.defaultValue) for axis in axes)
    return faces or [Face(str(path), index, family, style, default, kind, coverage)]


def kind_of(family: str) -> str:
    """The kind (`KINDS`) that a family's name tells."""
    for kind, pattern in _KINDS.items():
        if re.search(pattern, family, re.I):
            return kind
    return "sans"


def _codes(font: TTFont, family: str, kind: str) -> Codes:
    """The code points that the face draws as what they are."""
    codes, glyphs = read_codes(font)
    if kind == "segment":
        return codes[np.isin(codes, _SEGMENT_CODES)]
    small, capital = (glyphs[codes == ord(letter)] for letter in "aA")
    if _CAPITALS_ONLY.search(family) or (len(small) and np.array_equal(small, capital)):
        codes = codes[(codes < ord("a")) | (codes > ord("z"))]  # they look like capitals
    return codes


def load_faces(files: Iterable[Path]) -> list[Face]:
    """The faces of many files; a broken one among several is skipped with a warning.

    Raises:
        CrnnError: no file has a usable face; the message is that of the last one.
    """
    faces: list[Face] = []
    shared: dict[bytes, bytes] = {}  # many faces have the same coverage
    broken: CrnnError | None = None
    for file in files:
        try:
            found = read_faces(file)
        except CrnnError as error:
            broken = error
            logger.warning("%s: skipped", error)
            continue
        faces += [
            dataclasses.replace(face, coverage=shared.setdefault(face.coverage, face.coverage))
            for face in found
        ]
    if not faces:
        raise broken or CrnnError(
            "the font files have no face for text: `make fonts` installs some"
        )
    return faces


class FontSet:
    """Faces grouped by family, from which one is drawn for a given text.

    Args:
        faces: the candidates.
        weights: kind → how often each family of that kind is drawn, 1 if not
            given; 0 leaves the kind out.
        split: ``train`` leaves out the families of which `held_out` is true,
            ``heldout`` takes only them (at least one family is always held out).

    Raises:
        CrnnError: no face is left.
    """

    def __init__(
        self,
        faces: Iterable[Face],
        *,
        weights: Mapping[str, float] | None = None,
        split: Split = "all",
    ) -> None:
        weights = weights or {}
        families: dict[str, list[Face]] = {}
        for face in faces:
            if weights.get(face.kind, 1.0) > 0:
                families.setdefault(face.family, []).append(face)
        for name, members in families.items():
            # Evenly spread over the weights and widths; more would only fill the cache.
            step = max(1.0, len(members) / _MOST_FACES)
            families[name] = [members[int(n * step)] for n in range(min(len(members), _MOST_FACES))]
        self._han = _Families(_split(families, lambda face: face.covers(HAN), split), weights)
        self._other = _Families(_split(families, lambda face: not face.covers(HAN), split), weights)
        plain = {
            name: [face for face in family if not _SLANTED.search(face.style)]
            for name, family in self._other.families.items()
            if family[0].kind in ("serif", "sans")
        }
        self._plain = _Families({name: f for name, f in plain.items() if f}, weights)
        self._all = _Families({**self._han.families, **self._other.families}, weights)
        if not self._all.families:
            raise CrnnError(
                f"no font family is left for split {split!r} and the preset's kinds "
                f"{dict(weights)}: `make fonts` installs more"
            )

    @property
    def faces(self) -> list[Face]:
        """Every face that may be drawn."""
        return [face for family in self._all.families.values() for face in family]

    @property
    def has_han(self) -> bool:
        """True if a face has Chinese characters."""
        return bool(self._han.families)

    @property
    def main_faces(self) -> list[Face]:
        """The Chinese faces if there is one, else all."""
        families = (self._han if self._han.families else self._all).families
        return [face for family in families.values() for face in family]

    def faces_for(self, characters: Iterable[str]) -> list[Face]:
        """Those that lines of an alphabet are drawn with: all, unless it is Chinese."""
        if any(character >= "\u2e80" for character in characters):
            return self.main_faces
        return [face for family in self._all.families.values() for face in family]

    def choose(self, rng: random.Random, text: str) -> Face | None:
        """A random face that has every character of ``text``, family first; None if none has."""
        characters = set(text)
        han = any(character >= "\u2e80" for character in characters)
        return (self._han if han else self._all).choose(rng, characters)

    def companion(self, rng: random.Random, text: str) -> Face | None:
        """An upright serif or sans without Chinese, as set beside Chinese for Latin parts."""
        return self._plain.choose(rng, set(text))


def _split(
    families: Mapping[str, list[Face]], keep: Callable[[Face], bool], split: Split
) -> dict[str, list[Face]]:
    """The families of one script that ``split`` may use, by name."""
    kept = {name: [f for f in families[name] if keep(f)] for name in sorted(families)}
    kept = {name: faces for name, faces in kept.items() if faces}
    if split == "all":
        return kept
    out = {name for name in kept if held_out(_VARIANT.sub("", name))} or set(list(kept)[:1])
    return {name: faces for name, faces in kept.items() if (name in out) == (split == "heldout")}


class _Families:
    """Families of one script, drawn by the weight of their kind."""

    def __init__(self, families: dict[str, list[Face]], weights: Mapping[str, float]) -> None:
        self.families = families
        self._names = list(families)
        self._cumulative = list(
            itertools.accumulate(weights.get(faces[0].kind, 1.0) for faces in families.values())
        )

    def choose(self, rng: random.Random, characters: set[str]) -> Face | None:
        if not self._names:
            return None
        for _ in range(8):
            (name,) = rng.choices(self._names, cum_weights=self._cumulative)
            face = rng.choice(self.families[name])
            if face.covers(characters):
                return face
        # Rare characters: look through all.
        fit = [
            [face for face in family if face.covers(characters)]
            for family in self.families.values()
        ]
        fit = [family for family in fit if family]
        return rng.choice(rng.choice(fit)) if fit else None
