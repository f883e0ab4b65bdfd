"""The alphabet: which character each class of a reader stands for."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.files import read_text
from crnn_runtime.model.dictionary import ENTRY_A_LINE, Dictionary

logger = logging.getLogger(__name__)

NAMED_ALPHABETS = ("zh", "latin", "digits")
"""Shipped alphabets: simplified Chinese (5,989 characters), printable ASCII, ten digits."""


def splitter(entries: Iterable[str]) -> Callable[[str], list[str]]:
    """Returns a function that cuts texts into entries, the longest first, and else into code
    points.

    ``👍🏽`` is one piece if it is an entry, two if it is none.
    """
    several = sorted({entry for entry in entries if len(entry) > 1}, key=len, reverse=True)
    if not several:
        return list
    return re.compile("|".join((*map(re.escape, several), ".")), re.DOTALL).findall


class Alphabet:
    """An ordered list of entries; entry ``i`` (from 0) has code ``i + 1``.

    An entry is a character, and may be several code points: a flag, a letter with
    marks. Code 0 is the CTC blank, which is an index and never a character, so any
    character, the space included, may be an entry. An entry that appears twice keeps
    both codes, and the first one encodes.

    Args:
        characters: the entries in order: a list, or a string of single code points.

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
    def from_file(cls, path: str | Path, classes: int | None = None) -> "Alphabet":
        """Read a UTF-8 text file: this project's format or a PaddleOCR dictionary.

        This project's format is the characters of all lines, one after the other.
        Lines are stripped of white space around them. A first line that is empty, a
        lone space or the word ``blank`` stands for the CTC blank and is dropped; any
        later line that is a lone space is the space character. In a dictionary, every
        line is an entry. For the other forms of dictionaries, and how they are told
        apart, see `crnn_runtime.model.dictionary`.

        Args:
            path: of the file.
            classes: of the model that it belongs to, the blank included: the reading
                that makes them is taken.

        Raises:
            CrnnError: the file is missing, empty or not UTF-8, or makes other classes.
        """
        return cls.from_dictionary(read_dictionary(path), classes)

    @classmethod
    def from_dictionary(cls, dictionary: Dictionary, classes: int | None = None) -> "Alphabet":
        """The entries of a dictionary; see `from_file`.

        Raises:
            CrnnError: the dictionary makes other classes.
        """
        reading = dictionary.reading(classes)
        # Only of files that somebody gave; those inside a model and beside it are its own.
        if dictionary.is_given and (classes is not None or not dictionary.is_clear):
            logger.info("alphabet %s: read as %s", dictionary.name, reading.how)
        alphabet = cls(reading.entries)
        # A space that is added where one is there already is no mistake of the file.
        alphabet._warn_of_duplicates(f"alphabet {dictionary.name}", {" "})
        return alphabet

    def _warn_of_duplicates(self, name: str, expected: Iterable[str] = ()) -> None:
        if odd := [entry for entry in self.duplicates if entry not in expected]:
            logger.warning(
                "%s: %d characters appear more than once, the first code encodes: %s",
                name, len(odd), " ".join(odd[:10]),
            )  # fmt: skip

    @classmethod
    def load(cls, text_or_path: str, classes: int | None = None) -> "Alphabet":
        """Take a shipped alphabet's name, else a file's entries, else the string's characters.

        The names are `NAMED_ALPHABETS`; a file of such a name is read as ``./zh``.
        ``classes`` of the model choose how a file is read, see `from_file`.

        Raises:
            CrnnError: the string looks like a file that is not there, or see `from_file`.
        """
        if text_or_path in NAMED_ALPHABETS:
            return cls.from_file(Path(__file__).parent / "alphabets" / f"{text_or_path}.txt")
        try:
            is_file = Path(text_or_path).is_file()
        except OSError:  # a string longer than a file name may be
            is_file = False
        if is_file:
            return cls.from_file(text_or_path, classes)
        if text_or_path.lower().endswith((".txt", ".dict", ".json", ".yaml", ".csv")):
            raise CrnnError(f"no alphabet file {text_or_path}")
        alphabet = cls(text_or_path)
        alphabet._warn_of_duplicates(f"alphabet {text_or_path[:20]!r}")
        return alphabet

    def to_text(self) -> str:
        """The text of a file that `from_file` reads back to the same alphabet.

        Raises:
            CrnnError: an entry cannot stand on a line of its own: it holds a line break.
        """
        for head in ("blank", ENTRY_A_LINE):
            text = "\n".join((head, *self.characters)) + "\n"
            if Dictionary.parse("", text).reading(None).entries == self.characters:
                return text
        unfit = next(e for e in self.characters if "\n" in e or e.endswith("\r"))
        raise CrnnError(f"alphabet entry {unfit!r} cannot be written to a text file")

    @cached_property
    def codes(self) -> dict[str, int]:
        """Entry → code, the first code of each."""
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

    @cached_property
    def _splitter(self) -> Callable[[str], list[str]]:
        return splitter(self.characters)

    def split(self, text: str) -> list[str]:
        """``text`` in entries, the longest first; what has no code is single code points."""
        return self._splitter(text)

    def unknown(self, text: str) -> list[str]:
        """The characters of ``text`` that have no code, each once, in order."""
        return [entry for entry in dict.fromkeys(self.split(text)) if entry not in self.codes]

    def has(self, text: str) -> bool:
        """Whether every character of ``text`` has a code."""
        return all(map(self.codes.__contains__, self.split(text)))

    def encode(self, text: str) -> list[int]:
        """The codes of ``text``, one per entry; where several entries fit, the longest.

        Raises:
            CrnnError: a character has no code.
        """
        try:
            return [self.codes[entry] for entry in self.split(text)]
        except KeyError:
            unknown = " ".join(map(repr, self.unknown(text)))
            raise CrnnError(f"not in the alphabet: {unknown} in {text!r}") from None

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


def read_dictionary(path: str | Path, *, is_given: bool = True) -> Dictionary:
    """The lines of an alphabet file.

    Args:
        path: of the file.
        is_given: somebody named it, and is told how it is read.

    Raises:
        CrnnError: the file is missing, empty or not UTF-8.
    """
    text = read_text(path, "alphabet")
    return Dictionary.parse(str(path), text, is_given=is_given)


AlphabetSource = str | Path | Dictionary | Alphabet
"""An alphabet, or what one is made of once the model's classes are known: a file, or what
`Alphabet.load` takes."""


def fitting_alphabet(source: AlphabetSource, classes: int | None) -> Alphabet:
    """The alphabet that a source means for a model.

    Args:
        source: of the alphabet.
        classes: of the model, the blank included; None if nobody knows them.

    Raises:
        CrnnError: it cannot be read, or makes other classes.
    """
    if isinstance(source, Dictionary):
        return Alphabet.from_dictionary(source, classes)
    alphabet = source if isinstance(source, Alphabet) else Alphabet.load(str(source), classes)
    if classes not in (None, alphabet.num_classes):
        raise CrnnError(
            f"the alphabet's {len(alphabet):,} characters and the blank make "
            f"{alphabet.num_classes:,} classes, the model has {classes:,}"
        )
    return alphabet
