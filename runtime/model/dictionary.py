"""Alphabet files: what the lines of one may mean, and which meaning fits a model.

Two formats are in use, and both look alike. This project's own holds the characters of
all lines one after the other, behind a first line that may stand for the blank. A
PaddleOCR dictionary holds one entry a line; an entry may be several code points, such as
a flag, the first line may be the space, and the reader may add a space that the file does
not hold. The number of classes of a model tells which of the readings is meant.
"""

import dataclasses
import itertools
import unicodedata
from collections.abc import Iterator

from crnn_runtime.errors import CrnnError

ENTRY_A_LINE = "<blank> one entry a line"
"""First line of a file whose other lines are entries, whatever they look like."""
_BLANK_WORDS = ("blank", "<blank>")
_MOST_SPACES = 2
"""Spaces that are added at the end: PP-OCR's reader adds one, also behind a dictionary
whose own last line was a space that an editor took away."""
_REGIONAL = range(0x1F1E6, 0x1F200)
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_JOINER = "\u200d"


@dataclasses.dataclass(frozen=True)
class Reading:
    """One meaning of a file.

    Attributes:
        entries: in the order of their classes, from class 1.
        how: what was taken for what, in words.
    """

    entries: tuple[str, ...]
    how: str

    def with_spaces(self, count: int) -> "Reading":
        """The same with so many spaces behind it."""
        if not count:
            return self
        added = "a space" if count == 1 else f"{count} spaces"
        return Reading(self.entries + (" ",) * count, f"{self.how}, and {added} at the end")


@dataclasses.dataclass(frozen=True)
class Dictionary:
    """The lines of an alphabet file.

    Attributes:
        name: of the file, for messages.
        lines: without their ends; empty ones at the end are left out.
        is_given: somebody named the file; False where it came with the model.
    """

    name: str
    lines: tuple[str, ...]
    is_given: bool = True

    @classmethod
    def parse(cls, name: str, text: str, *, is_given: bool = True) -> "Dictionary":
        """Cut a file's text into lines.

        Raises:
            CrnnError: it holds no character.
        """
        # Not splitlines(): U+2028 and friends may be entries.
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        dictionary = cls(name, tuple(lines), is_given)
        if not any(dictionary.readings()):
            raise CrnnError(f"alphabet {name} holds no character")
        return dictionary

    @property
    def is_clear(self) -> bool:
        """Whether the file reads alike in every format."""
        return len({reading.entries for format_ in self._formats() for reading in format_}) == 1

    def readings(self) -> Iterator[Reading]:
        """Yields the alphabets that the file may mean, the likeliest first."""
        is_marked = self.lines[:1] == (ENTRY_A_LINE,)
        for format_ in self._formats():
            for count in range(1 if is_marked else _MOST_SPACES + 1):
                for reading in format_:
                    yield reading.with_spaces(count)

    def reading(self, classes: int | None) -> Reading:
        """The likeliest reading, or the one that makes a model's classes with the blank.

        Raises:
            CrnnError: none does.
        """
        found = list(self.readings())
        if classes is None:
            return found[0]
        for reading in found:
            if len(reading.entries) + 1 == classes:
                return reading
        made = sorted({len(reading.entries) + 1 for reading in found})
        raise CrnnError(
            f"alphabet {self.name} makes {made[0]:,} classes with the blank"
            + (f" ({', '.join(f'{n:,}' for n in made[1:])} read in other ways)" if made[1:] else "")
            + f", the model has {classes:,}: it is the alphabet of another model"
        )

    def _formats(self) -> list[list[Reading]]:
        """The readings that add nothing to the file, by format, the likelier format first."""
        lines, first = self.lines, self.lines[0] if self.lines else ""
        if first == ENTRY_A_LINE:
            return [_existing((lines[1:], "entries, one a line"))]
        has_blank = first.strip(" \t").lower() in ("", *_BLANK_WORDS)
        rest = lines[1:] if has_blank else lines
        dropped = f", the first line ({first!r}) for the blank" if has_blank else ""
        characters = "".join(line if line == " " else line.strip(" \t") for line in rest)
        by_character = tuple(characters), f"characters{dropped}"
        by_line = [(rest, f"entries, one a line{dropped}")]
        if first == " ":
            by_line.append((lines, "entries, one a line, the first the space"))
        if _are_entries(rest):
            return [_existing(*by_line), _existing(by_character)]
        return [_existing(by_character, *by_line)]


def _existing(*readings: tuple[tuple[str, ...], str]) -> list[Reading]:
    found = ((tuple(filter(None, entries)), how) for entries, how in readings)
    return [Reading(entries, f"{len(entries):,} {how}") for entries, how in found if entries]


def _are_entries(lines: tuple[str, ...]) -> bool:
    """Whether every line is what a person takes for one character."""
    return len(lines) > 1 and all(map(_is_one_character, filter(None, lines)))


def _is_one_character(text: str) -> bool:
    """Whether code points make one flag, one letter with its marks, or one joined picture."""
    if len(text) == 1:
        return True
    if all(ord(character) in _REGIONAL for character in text):
        return len(text) == 2
    for before, character in itertools.pairwise(text):
        follows = (
            unicodedata.category(character).startswith("M")
            or ord(character) in _SKIN_TONES
            or _JOINER in (before, character)
        )
        if not follows:
            return False
    return not unicodedata.category(text[0]).startswith("Z")
