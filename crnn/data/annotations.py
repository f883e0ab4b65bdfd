"""Annotation files: which text is written on which picture.

Two text formats:

- TSV: ``path<TAB>text``; everything after the first tab is the text. A file that ends in
  ``.tsv`` is one, and so is any other most of whose lines hold a tab: PaddleOCR's end in
  ``.txt``.
- codes: ``img_path code code code …``, codes from 1 as in `Alphabet`. The codes
  are the whole numbers at the end of the line, so the path may contain spaces.

A folder instead of a file is an LMDB database, see `crnn.data.database`.
"""

import dataclasses
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn.data.database import Database, is_database
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet, read_dictionary

SUFFIXES = (".txt", ".tsv")
ALPHABET = "alphabet.txt"
"""The file beside an annotation file that says what its codes mean, if there is one."""

_CODES_AT_END = re.compile(
    r"^(?P<path>.*?)(?P<codes>(?:[ \t]+[+-]?\d+)*)[ \t]*$", re.DOTALL | re.ASCII
)


@dataclasses.dataclass(frozen=True, order=True)
class Defect:
    """One thing wrong with one line of an annotation file.

    Attributes:
        file: the annotation file.
        line: line number, from 1; 0 for a defect of the whole file.
        kind: one of the keys of `KINDS`.
        detail: what is wrong, in words.
    """

    file: str
    line: int
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.detail}"


KINDS = {
    "encoding": "not UTF-8",
    "format": "not in the format of the file",
    "no-label": "no label",
    "unknown-character": "a character or code that is not in the alphabet",
    "missing-image": "no such image",
    "unreadable-image": "not a readable image",
    "too-large": "image of more pixels than are read",
    "too-wide": "image wider than the reader takes",
    "too-long": "label too long for the width of the image",
}


@dataclasses.dataclass
class Annotations:
    """The usable lines of one annotation file, in columns (a million lines fit in memory).

    Attributes:
        file: where they were read from.
        images: path of each line's image as written in the file.
        codes: int32, the codes of all lines one after the other.
        offsets: int64 of length n + 1; line ``i`` has ``codes[offsets[i]:offsets[i + 1]]``.
        numbers: int32 of length n, line number in the file, from 1.
        defects: of the lines that are left out.
        unknown: of each unknown character or code, the line number of every occurrence.
        renormalized: labels whose characters were found only after NFC normalisation.
        is_coded: the file's lines hold codes, not text.
    """

    file: Path
    images: list[str]
    codes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    numbers: NDArray[np.int32]
    defects: list[Defect] = dataclasses.field(default_factory=list)
    unknown: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    renormalized: int = 0
    is_coded: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def label(self, index: int) -> NDArray[np.int32]:
        """The codes of one line."""
        return self.codes[self.offsets[index] : self.offsets[index + 1]]

    def steps_needed(self) -> NDArray[np.int64]:
        """Time steps that CTC needs for each line: characters + adjacent repeats."""
        repeat = np.zeros(len(self.codes) + 1, np.int64)
        repeat[1:-1] = self.codes[1:] == self.codes[:-1]
        starts, ends = self.offsets[:-1], self.offsets[1:]
        repeat[starts] = 0  # the first character of a line repeats nothing
        summed = np.concatenate(([0], np.cumsum(repeat)))
        needed: NDArray[np.int64] = (ends - starts) + (summed[ends] - summed[starts])
        return needed

    def select(self, keep: NDArray[np.bool_]) -> "Annotations":
        """Only the lines where ``keep`` is true."""
        lengths = np.diff(self.offsets)
        return dataclasses.replace(
            self,
            images=[image for image, kept in zip(self.images, keep, strict=True) if kept],
            codes=self.codes[np.repeat(keep, lengths)],
            offsets=np.concatenate(([0], np.cumsum(lengths[keep]))).astype(np.int64),
            numbers=self.numbers[keep],
        )


def find_annotations(root: Path, split: str) -> Path:
    """``<root>/<split>.txt``, ``.tsv`` or an LMDB folder ``<root>/<split>``, what is there.

    Raises:
        CrnnError: the folder or all of them are missing, or there are several.
    """
    found = _candidates(root, split)
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise CrnnError(
            f"data set {root}: which one holds the {split} lines, {names}? Keep one of them there"
        )
    if found:
        return found[0]
    what = (
        f"no {split}.txt, {split}.tsv or LMDB {split}/ in it" if root.is_dir() else "no such folder"
    )
    raise CrnnError(f"data set {root}: {what}")


def has_annotations(root: Path, split: str) -> bool:
    """Whether a data set has lines of a split, in one file or several."""
    return bool(_candidates(root, split))


def _candidates(root: Path, split: str) -> list[Path]:
    folder = [root / split] if is_database(root / split) else []
    return folder + [path for end in SUFFIXES if (path := root / f"{split}{end}").is_file()]


def read_labels(database: Database, alphabet: Alphabet) -> Annotations:
    """The labels of an LMDB data set, in the same columns as those of a file."""
    reader = _Reader(database.folder, alphabet)
    for number, image, raw in database.labels():
        try:
            reader.add_text(number, f"{image}\t{raw.decode('utf-8')}")
        except UnicodeDecodeError as error:
            reader.defect(number, "encoding", f"label not UTF-8 (byte {error.start})")
    return reader.finish()


def read_annotations(file: Path, alphabet: Alphabet) -> Annotations:
    """Read an annotation file; lines with a defect are left out and described in `defects`.

    Labels are taken as they are written. A label that holds a character the
    alphabet lacks is tried once more in Unicode's composed form (NFC).

    Raises:
        CrnnError: the file cannot be read, or holds codes of another alphabet.
    """
    reader = _Reader(file, alphabet)
    lines = _raw_lines(file)
    is_text = holds_text(file, lines)
    if not is_text:
        _demand_alphabet_of_codes(file, alphabet)
    add = reader.add_text if is_text else reader.add_codes
    for number, line in _decoded(lines, reader.defect):
        add(number, line)
    return dataclasses.replace(reader.finish(), is_coded=not is_text)


def _demand_alphabet_of_codes(file: Path, alphabet: Alphabet) -> None:
    """Refuse codes of another alphabet: each would be read as some other character."""
    beside = file.with_name(ALPHABET)
    if not beside.is_file():
        return
    meanings = [reading.entries for reading in read_dictionary(beside).readings()]
    if alphabet.characters not in meanings:
        raise CrnnError(
            f"{file} holds codes of the alphabet beside it, {beside}, whose {len(meanings[0]):,} "
            f"characters are not the {len(alphabet):,} of this reader: give labels as text "
            f"({file.stem}.tsv), or the reader that alphabet"
        )


def holds_text(file: Path, lines: Sequence[bytes]) -> bool:
    """Whether an annotation file is ``path<TAB>text``, not codes: by its name or most lines."""
    if file.suffix.lower() == ".tsv":
        return True
    filled = sum(bool(line.strip()) for line in lines)
    return 2 * sum(b"\t" in line for line in lines) > filled


def swallowed_code(image: str) -> str:
    """A hint that a path ends in what was meant as a code, or nothing.

    In ``a.jpg 1 x 3`` the path is ``a.jpg 1 x``, for paths may contain spaces.
    """
    others = image.split()[1:]
    if not others or Path(others[-1]).suffix[1:2].isalpha():  # "my line.jpg"
        return ""
    return f" (or {others[-1]!r} is not a code)"


class _Reader:
    """Collects the columns of `Annotations` line by line."""

    def __init__(self, file: Path, alphabet: Alphabet) -> None:
        self.file = file
        self.alphabet = alphabet
        self.codes = alphabet.codes
        self.code_by_word = {str(code): code for code in range(1, alphabet.num_classes)}
        self.images: list[str] = []
        self.flat = array("i")
        self.offsets = array("q", [0])
        self.numbers = array("i")
        self.defects: list[Defect] = []
        self.unknown: dict[str, list[int]] = {}
        self.renormalized = 0

    def defect(self, number: int, kind: str, detail: str) -> None:
        self.defects.append(Defect(str(self.file), number, kind, detail))

    def keep(self, number: int, image: str, codes: list[int]) -> None:
        self.images.append(image)
        self.flat.extend(codes)
        self.offsets.append(len(self.flat))
        self.numbers.append(number)

    def add_text(self, number: int, line: str) -> None:
        image, tab, text = line.partition("\t")
        if not tab:
            self.defect(number, "format", f"no tab between image and text in {line[:60]!r}")
        elif not image:
            self.defect(number, "format", "no image path before the tab")
        elif not text:
            self.defect(number, "no-label", f"no label for {image}")
        else:
            self._encode(number, image, text)

    def _encode(self, number: int, image: str, text: str) -> None:
        try:
            self.keep(number, image, [self.codes[entry] for entry in self.alphabet.split(text)])
            return
        except KeyError:
            composed = unicodedata.normalize("NFC", text)
        unknown = self.alphabet.unknown(composed)
        if not unknown:
            self.renormalized += 1
            self.keep(number, image, self.alphabet.encode(composed))
            return
        for character in self.alphabet.split(composed):
            if character in unknown:
                self.unknown.setdefault(character, []).append(number)
        shown = " ".join(f"{character!r} (U+{ord(character):04X})" for character in unknown)
        self.defect(number, "unknown-character", f"not in the alphabet: {shown} in {text!r}")

    def add_codes(self, number: int, line: str) -> None:
        # The usual line, a path without spaces and good codes, in one pass.
        image, *words = line.split()
        try:
            codes = [self.code_by_word[word] for word in words]
        except KeyError:
            codes = []
        if codes:
            self.keep(number, image, codes)
            return
        match = _CODES_AT_END.match(line.strip(" \t"))
        assert match is not None, "the pattern matches every string"
        image, words = match["path"], match["codes"].split()
        if not words:
            self.defect(number, "no-label", f"no codes after {image}{swallowed_code(image)}")
            return
        top = self.alphabet.num_classes - 1
        wrong = [word for word in words if not 1 <= int(word) <= top]
        if wrong:
            for word in wrong:
                self.unknown.setdefault(f"code {word}", []).append(number)
            detail = f"codes {' '.join(dict.fromkeys(wrong))} are outside 1..{top} (0 is the blank)"
            self.defect(number, "unknown-character", detail)
        else:
            self.keep(number, image, [int(word) for word in words])

    def finish(self) -> Annotations:
        return Annotations(
            file=self.file,
            images=self.images,
            codes=np.array(self.flat, np.int32),
            offsets=np.array(self.offsets, np.int64),
            numbers=np.array(self.numbers, np.int32),
            defects=self.defects,
            unknown=self.unknown,
            renormalized=self.renormalized,
        )


def _raw_lines(file: Path) -> list[bytes]:
    """The lines as bytes: one in another encoding spoils only itself, and U+2028 ends none."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CrnnError(f"cannot read annotations {file}: {error.strerror}") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CrnnError(f"annotations {file} are in UTF-16: save the file as UTF-8")
    return data.removeprefix(b"\xef\xbb\xbf").split(b"\n")


def _decoded(
    lines: Sequence[bytes], defect: Callable[[int, str, str], None]
) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are not empty, without the line end."""
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            defect(number, "encoding", f"not UTF-8 (byte {error.start}): save the file as UTF-8")
            continue
        if line and not line.isspace():
            yield number, line
