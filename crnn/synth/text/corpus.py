"""`Corpus`: running text in UTF-8 files, Chinese and English apart."""

import os
import random
import re
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crnn.synth.split import Split, in_split
from crnn_runtime.errors import CrnnError

_PIECE = 3000  # bytes of a long line that are read at a time
_HAN = re.compile(r"[\u3400-\u9fff]")
_BESIDE_CHINESE = re.compile(r"(?<=[\u3001-\u9fff\uff01-\uff5e]) | (?=[\u3400-\u9fff])")
_CHINESE_SHARE = 0.12  # of a line's characters

Spans = npt.NDArray[np.int32]


def installed_texts() -> Path:
    """Returns the folder that ``make texts`` puts texts in: ``$XDG_CACHE_HOME/crnn/texts``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "crnn" / "texts"


def find_texts(where: Sequence[Path] | None) -> list[Path]:
    """The files or folders of a corpus.

    Args:
        where: files and folders; the word ``words`` for none, so that prose is made of
            words; None takes what ``make texts`` installed, none if nothing is there.

    Raises:
        CrnnError: a file or folder is not there.
    """
    if where is None:
        installed = installed_texts()
        return [installed] if next(installed.rglob("*.txt"), None) else []
    paths = [path.expanduser() for path in where if str(path) != "words"]
    if missing := [path for path in paths if not path.exists()]:
        raise CrnnError(f"no file or folder {missing[0]}")
    return paths


def read_text(path: Path) -> str:
    """A UTF-8 file's text.

    Raises:
        CrnnError: not readable or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CrnnError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CrnnError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from error


class Corpus:
    """Running text in UTF-8 files, read piece by piece, so that its size costs no memory.

    A line is Chinese if one of eight characters is. Where the files have lines of one
    language only, they serve for both.

    Args:
        paths: files, or folders whose ``.txt`` files are taken.
        split: which lines take part, by the hash of the line.

    Raises:
        CrnnError: nothing to read, or not UTF-8.
    """

    def __init__(self, paths: Sequence[Path], split: Split = "all") -> None:
        self.files = text_files(paths)
        found: dict[str, list[Spans]] = {"zh": [], "en": []}
        for number, file in enumerate(self.files):
            for language, spans in zip(found, _index(file, split), strict=True):
                numbers = np.full((len(spans), 1), number, np.int32)
                found[language].append(np.hstack((numbers, spans)))
        whole = {name: np.concatenate(parts) for name, parts in found.items() if parts}
        self._spans = {name: spans for name, spans in whole.items() if len(spans)}
        if not self._spans:
            shown = ", ".join(map(str, paths))
            raise CrnnError(f"the corpus {shown} has no text: give UTF-8 .txt files with lines")
        self._ends = {
            name: np.cumsum(spans[:, 2], dtype=np.int64) for name, spans in self._spans.items()
        }

    def line(self, rng: random.Random, language: str, *, short: bool = False) -> str:
        """A line of ``zh`` or ``en``, its white space made single.

        A Chinese line has no spaces beside Chinese: writers of software documents put them
        between the scripts, where print has a thin gap and transcriptions have nothing.

        Args:
            rng: of the choice.
            language: of the line, if the corpus has such lines.
            short: every line is drawn as often; else long ones more often, by their length.
        """
        if language not in self._spans:
            (language,) = self._spans
        spans, ends = self._spans[language], self._ends[language]
        if short:
            place = rng.randrange(len(spans))
        else:
            place = int(np.searchsorted(ends, rng.randrange(int(ends[-1])), "right"))
        number, start, size = map(int, spans[place])
        descriptor = os.open(self.files[number], os.O_RDONLY)
        try:
            raw = os.pread(descriptor, size, start)
        finally:
            os.close(descriptor)
        text = " ".join(raw.decode("utf-8", "ignore").lstrip("\ufeff").split())
        return _BESIDE_CHINESE.sub("", text) if language == "zh" else text


def open_corpus(paths: Sequence[Path], split: Split = "all") -> Corpus:
    """The same `Corpus` for the same files: every preset of a run draws from it.

    Raises:
        CrnnError: see `Corpus`.
    """
    stamps = tuple((file, _stamp(file)) for file in text_files(paths))
    return _opened(tuple(paths), stamps, split)


@lru_cache(maxsize=4)
def _opened(paths: tuple[Path, ...], stamps: object, split: Split) -> Corpus:
    del stamps  # what is remembered holds while the files are the same
    return Corpus(paths, split)


def text_files(paths: Sequence[Path]) -> list[Path]:
    """The files of a corpus: those given, and the ``.txt`` files of folders."""
    found = (sorted(path.rglob("*.txt")) if path.is_dir() else [path] for path in paths)
    return [file for files in found for file in files]


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise CrnnError(f"cannot read {file}: {error.strerror}") from error
    return status.st_mtime_ns, status.st_size


def _index(file: Path, split: Split) -> tuple[Spans, Spans]:
    """Start and size in bytes of the Chinese and of the other lines, (N, 2) each."""
    spans = array("i"), array("i")
    for start, size, is_chinese in _lines(file, split):
        spans[not is_chinese].extend((start, size))
    chinese, other = (np.array(part, np.int32).reshape(-1, 2) for part in spans)
    return chinese, other


def _lines(file: Path, split: Split) -> Iterator[tuple[int, int, bool]]:
    """Start, size and whether it is Chinese of a file's lines, the long ones in pieces."""
    start = 0
    try:
        with file.open("rb") as lines:
            for raw in lines:
                text = raw.decode("utf-8").strip()
                if text and in_split(text, split):
                    chinese = len(_HAN.findall(text)) > _CHINESE_SHARE * len(text)
                    for piece in range(0, len(raw), _PIECE):
                        yield start + piece, min(_PIECE, len(raw) - piece), chinese
                start += len(raw)
    except OSError as error:
        raise CrnnError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        place = start + error.start
        raise CrnnError(f"{file} is not UTF-8 (byte {place}): save it as UTF-8") from error
