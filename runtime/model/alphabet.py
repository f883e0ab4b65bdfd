"""The alphabet: which character each class of a reader stands for."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.files import read_text

logger = logging.getLogger(__name__)

NAMED_ALPHABETS = ("zh", "latin", "digits")
"""Shipped alphabets: simplified Chinese (5,989 characters), printable ASCII, ten digits."""

_BLANK_WORDS = ("blank", "<blank>")


class Alphabet:
    """An ordered list of characters; character ``i`` (from 0) has code ``i + 1``.

    Code 0 is the CTC blank, which is an index and never a character, so any
    character, the space included, may be an entry. A character that appears
    twice keeps both codes, and the first one encodes.

    Args:
        characters: the entries in order, usually a string.

    Raises:
        CrnnError: there is no entry, or an entry is empty.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = tuple(characters)
        if not self.characters:
            raise CrnnError("the alphabet is empty: give at least one character")
        if not all(self.characters):
            raise CrnnError(f"alphabet entry {self.characters.index('')} is empty")

    @classmethod
    def from_file(cls, path: str | Path) -> "Alphabet":
        """Read a UTF-8 text file: the entries of all lines, one after the other.

        Lines are stripped of white space around them. A first line that is empty,
        a lone space or the word ``blank`` stands for the CTC blank and is dropped;
        any later line that is a lone space is the space character.

        Raises:
            CrnnError: the file is missing, empty or not UTF-8.
        """
        text = read_text(path, "alphabet")
        # Not splitlines(): U+2028 and friends may be entries.
        lines = [line.rstrip("\r") for line in text.split("\n")]
        if lines[0].strip(" \t").lower() in ("", *_BLANK_WORDS):
            lines = lines[1:]
        entries = "".join(line if line == " " else line.strip(" \t") for line in lines)
        if not entries:
            raise CrnnError(f"alphabet {path} holds no character")
        alphabet = cls(entries)
        alphabet._warn_of_duplicates(f"alphabet {path}")
        return alphabet

    def _warn_of_duplicates(self, name: str) -> None:
        if self.duplicates:
            shown = " ".join(self.duplicates[:10])
            logger.warning(
                "%s: %d characters appear more than once, the first code encodes: %s",
                name, len(self.duplicates), shown,
            )  # fmt: skip

    @classmethod
    def load(cls, text_or_path: str) -> "Alphabet":
        """Take a shipped alphabet's name, else a file's entries, else the string's characters.

        The names are `NAMED_ALPHABETS`; a file of such a name is read as ``./zh``.

        Raises:
            CrnnError: the string looks like a file that is not there.
        """
        if text_or_path in NAMED_ALPHABETS:
            return cls.from_file(Path(__file__).parent / "alphabets" / f"{text_or_path}.txt")
        try:
            is_file = Path(text_or_path).is_file()
        except OSError:  # a string longer than a file name may be
            is_file = False
        if is_file:
            return cls.from_file(text_or_path)
        if text_or_path.lower().endswith((".txt", ".dict", ".json", ".yaml", ".csv")):
            raise CrnnError(f"no alphabet file {text_or_path}")
        alphabet = cls(text_or_path)
        alphabet._warn_of_duplicates(f"alphabet {text_or_path[:20]!r}")
        return alphabet

    def to_text(self) -> str:
        """The text of a file that `from_file` reads back to the same alphabet.

        Raises:
            CrnnError: an entry cannot stand on a line of its own (a line break, a
                tab, or more than one character).
        """
        unfit = [entry for entry in self.characters if len(entry) > 1 or entry in "\n\r\t"]
        if unfit:
            raise CrnnError(f"alphabet entry {unfit[0]!r} cannot be written to a text file")
        return "\n".join(("blank", *self.characters)) + "\n"

    @cached_property
    def codes(self) -> dict[str, int]:
        """Character → code, the first code of each."""
        codes: dict[str, int] = {}
        for code, character in enumerate(self.characters, start=1):
            codes.setdefault(character, code)
        return codes

    @property
    def num_classes(self) -> int:
        """Entries plus the blank: the width of the classifier."""
        return len(self.characters) + 1

    @cached_property
    def duplicates(self) -> tuple[str, ...]:
        """Characters with more than one code, in the order of their second one."""
        return tuple(
            character
            for code, character in enumerate(self.characters, start=1)
            if self.codes[character] != code
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of the entries and their order; two readers with the same hash agree on codes."""
        joined = "\n".join(self.characters)
        return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()

    def unknown(self, text: str) -> list[str]:
        """The characters of ``text`` that have no code, each once, in order."""
        return [character for character in dict.fromkeys(text) if character not in self.codes]

    def encode(self, text: str) -> list[int]:
        """The codes of ``text``, one per character.

        Raises:
            CrnnError: a character has no code.
        """
        unknown = self.unknown(text)
        if unknown:
            raise CrnnError(f"not in the alphabet: {' '.join(map(repr, unknown))} in {text!r}")
        return [self.codes[character] for character in text]

    def decode(self, codes: Iterable[int]) -> str:
        """The characters of ``codes`` (1 and up), joined.

        Raises:
            CrnnError: a code is the blank or beyond the alphabet.
        """
        codes = list(codes)
        for code in codes:
            if not 1 <= code < self.num_classes:
                raise CrnnError(f"code {code} is outside 1..{self.num_classes - 1}")
        return "".join(self.characters[code - 1] for code in codes)

    def check_class(self, code: int) -> None:
        """Refuse a class that a model gave and this alphabet lacks.

        Raises:
            ModelError: the class lies beyond the alphabet.
        """
        if code >= self.num_classes:
            raise ModelError(
                f"the model gave class {code} but its alphabet makes {self.num_classes} classes: "
                "the alphabet belongs to another model"
            )

    def __len__(self) -> int:
        return len(self.characters)

    def __iter__(self) -> Iterator[str]:
        return iter(self.characters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alphabet) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __repr__(self) -> str:
        shown = "".join(self.characters[:20])
        more = "…" if len(self) > 20 else ""
        return f"Alphabet({shown + more!r}, {len(self)} characters)"
