"""Character n-gram language models, read from ARPA files or KenLM binaries.

Two kinds of file, one interface, `LanguageModel`. ARPA files are read here and
looked up with numpy for a whole batch at once; KenLM binaries are read by the
``kenlm`` package (extra ``lm``).

The words of such a model are the characters of the reader's alphabet. ARPA files
separate words by spaces, so the space itself is written ``<space>`` or ``▁``.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import CrnnError
from crnn_runtime.files import read_text

SPACE_WORDS = ("<space>", "▁")
"""The ways in which ARPA files write the space; `crnn_runtime.cli.lm` writes the first."""
UNKNOWN, START, END = "<unk>", "<s>", "</s>"
LN_10 = float(np.log(10))
_MISSING_UNKNOWN = -100.0  # log10, what KenLM takes where a file has no <unk>

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def names_of(character: str) -> tuple[str, ...]:
    """Returns the words by which a language model may write a character."""
    return SPACE_WORDS if character == " " else (character,)


class LanguageModel(Protocol):
    """A model of the characters that follow others."""

    def words(self, characters: Sequence[str]) -> Ints:
        """The words (whole numbers) that stand for characters."""

    def knows(self, character: str) -> bool:
        """Whether a character, a space too, is among its words."""

    def is_of_words(self, characters: Sequence[str]) -> bool:
        """Whether its words are those of a language, not the characters of a reader."""

    def scorer(self) -> "Scorer":
        """Returns an object that scores the lines of one batch."""


class Scorer(Protocol):
    """Scores words one after the other. A state, a whole number, stands for those so far."""

    start: int
    """State at the start of a line."""

    def advance(self, states: Ints, words: Ints) -> tuple[Floats, Ints]:
        """States and words, broadcast → natural log-probabilities and next states."""

    def end(self, states: Ints) -> Floats:
        """Natural log-probability of a line's end in each state."""


def open_language_model(path: str | Path) -> LanguageModel:
    """Read an ARPA file or a KenLM binary, told apart by how they begin.

    Raises:
        CrnnError: there is no such file or it is neither.
        MissingDependencyError: a KenLM binary and no ``kenlm``.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise CrnnError(f"cannot read language model {path}: {error.strerror}") from error
    if head.startswith(b"mmap lm"):
        from crnn_runtime.decode.kenlm_model import KenLmModel  # noqa: PLC0415

        return KenLmModel(path)
    if b"\\data\\" not in head and head.strip():
        raise CrnnError(
            f"language model {path} is neither an ARPA file nor a KenLM binary: "
            "make one with crnn-lm or KenLM"
        )
    return ArpaModel(path)


class ArpaModel:
    """A back-off model (Katz 1987), as an ARPA file holds it.

    A state is the longest end of the line so far that the file has as an n-gram
    below its highest order; all n-grams are one sorted array of (state, word).

    Args:
        path: of the ARPA file, UTF-8.

    Raises:
        CrnnError: the file is no ARPA file; the message names the line.
    """

    def __init__(self, path: str | Path) -> None:
        reader = _ArpaReader(path)
        self.order = reader.order
        self._words = reader.words
        size = len(reader.words)
        entries = np.array(sorted(reader.entries.items()), np.int64).reshape(-1, 2)
        self._keys = np.append(entries[:, 0], np.iinfo(np.int64).max)
        self._log_probs = np.append(np.array(reader.log_probs)[entries[:, 1]], 0.0) * LN_10
        self._next = np.append(np.array(reader.next_states, np.int64)[entries[:, 1]], 0)
        self._back_off = np.array(reader.back_offs) * LN_10
        self._shorter = np.array(reader.shorter, np.int64)
        self._size = size
        self.start = reader.start

    def words(self, characters: Sequence[str]) -> Ints:
        """See `LanguageModel.words`."""
        unknown = self._words[UNKNOWN]
        found = []
        for character in characters:
            names = names_of(character)
            found.append(next((self._words[n] for n in names if n in self._words), unknown))
        return np.array(found, np.int64)

    def knows(self, character: str) -> bool:
        """See `LanguageModel.knows`."""
        return any(name in self._words for name in names_of(character))

    def is_of_words(self, characters: Sequence[str]) -> bool:
        """See `LanguageModel.is_of_words`: more than half are longer than a character."""
        own = [w for w in self._words if w not in (UNKNOWN, START, END, *SPACE_WORDS)]
        entries = set(characters)
        return sum(len(word) > 1 and word not in entries for word in own) > len(own) / 2

    def scorer(self) -> "Scorer":
        """The model itself: scoring changes nothing in it."""
        return self

    def advance(self, states: Ints, words: Ints) -> tuple[Floats, Ints]:
        """See `Scorer.advance`."""
        states, words = np.broadcast_arrays(states, words)
        shape = states.shape
        context, words = states.ravel().copy(), words.ravel()
        log_probs = np.zeros(context.size)
        following = np.zeros(context.size, np.int64)
        open_ = np.arange(context.size)
        while open_.size:  # ends: every word is in the empty context
            key = context[open_] * self._size + words[open_]
            at = np.searchsorted(self._keys, key)
            hit = self._keys[at] == key
            done, place = open_[hit], at[hit]
            log_probs[done] += self._log_probs[place]
            following[done] = self._next[place]
            open_ = open_[~hit]
            log_probs[open_] += self._back_off[context[open_]]
            context[open_] = self._shorter[context[open_]]
        return log_probs.reshape(shape), following.reshape(shape)

    def end(self, states: Ints) -> Floats:
        """See `Scorer.end`; nothing where the file has no ``</s>``."""
        if END not in self._words:
            return np.zeros(states.shape)
        return self.advance(states, np.int64(self._words[END]))[0]  # type: ignore[arg-type]


class _ArpaReader:
    """The content of an ARPA file as lists: n-grams by number, contexts by state."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self.words: dict[str, int] = {}
        self.entries: dict[int, int] = {}  # state * words + word → n-gram
        self.log_probs: list[float] = []
        self.next_states: list[int] = []
        self.back_offs = [0.0]  # of each state; 0 is the empty context
        self.shorter = [0]
        self._states: dict[tuple[int, ...], int] = {(): 0}
        lines = self._lines()
        self.order = max(self._counts(lines), default=0)
        if not self.order:
            raise CrnnError(f"language model {path}: no n-gram counts after \\data\\")
        grams = list(self._ngrams(lines))
        for name in [UNKNOWN, *(words[0] for _, words, _ in grams if len(words) == 1)]:
            self.words.setdefault(name, len(self.words))
        for log_prob, words, back_off in grams:
            self._add(log_prob, [self._word(word) for word in words], back_off)
        if self.words[UNKNOWN] not in self.entries:
            self._add(_MISSING_UNKNOWN, [self.words[UNKNOWN]], 0.0)
        begin = self.words.get(START)
        self.start = 0 if begin is None else self._states.get((begin,), 0)

    def _lines(self) -> Iterator[tuple[int, str]]:
        text = read_text(self._path, "language model")
        for number, line in enumerate(text.split("\n"), start=1):
            if line := line.strip(" \t\r"):
                yield number, line

    def _counts(self, lines: Iterable[tuple[int, str]]) -> Iterator[int]:
        """The orders that the header lists; stops at the first section."""
        for number, line in lines:
            if line.startswith("ngram "):
                try:
                    order, count = line.removeprefix("ngram ").split("=")
                    yield int(order) if int(count) else 0
                except ValueError:
                    self._refuse(number, line)
            elif line == "\\1-grams:":
                return
            elif line != "\\data\\":
                self._refuse(number, line)

    def _ngrams(self, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[float, list[str], float]]:
        order = 1
        for number, line in lines:
            if line == "\\end\\":
                return
            if line == f"\\{order + 1}-grams:":
                order += 1
                continue
            # By tabs and spaces alone: any other white space may be a character.
            fields = [field for field in line.replace("\t", " ").split(" ") if field]
            try:
                log_prob = float(fields[0])
                back_off = float(fields[order + 1]) if len(fields) == order + 2 else 0.0
            except (ValueError, IndexError):
                self._refuse(number, line)
            if not order + 1 <= len(fields) <= order + 2 or isnan(log_prob + back_off):
                self._refuse(number, line)
            yield log_prob, fields[1 : order + 1], back_off
        raise CrnnError(f"language model {self._path} ends before \\end\\: it is cut off")

    def _refuse(self, number: int, line: str) -> None:
        raise CrnnError(f"language model {self._path}, line {number}: {line[:40]!r} is not ARPA")

    def _word(self, word: str) -> int:
        if word not in self.words:
            raise CrnnError(f"language model {self._path}: {word!r} is not among its 1-grams")
        return self.words[word]

    def _add(self, log_prob: float, words: list[int], back_off: float) -> None:
        """N-grams come in the order of their length, so shorter contexts are there."""
        context = tuple(words[:-1])
        if context not in self._states:
            raise CrnnError(f"language model {self._path}: an n-gram's beginning is not in it")
        self.entries[self._states[context] * len(self.words) + words[-1]] = len(self.log_probs)
        self.log_probs.append(log_prob)
        longest = tuple(words) if len(words) < self.order else tuple(words[1:])
        if longest == tuple(words):
            self._states[longest] = len(self.back_offs)
            self.back_offs.append(back_off)
            self.shorter.append(self._longest_known(words[1:]))
        self.next_states.append(self._longest_known(longest))

    def _longest_known(self, words: Sequence[int]) -> int:
        words = tuple(words)
        while words not in self._states:
            words = words[1:]
        return self._states[words]
