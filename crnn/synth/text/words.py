"""Words with frequencies, and what generators of text draw from."""

import bisect
import importlib.util
import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from crnn.synth.split import Split, in_split
from crnn.synth.text.corpus import Corpus, read_text
from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.model.alphabet import Alphabet

LANGUAGES = ("zh", "en")
_LONGEST = 12
_SELDOM = 20  # words that jieba counted less often than this are left out
_TEMPER = 0.9  # exponent on frequencies: the rarer half of the words is seen a little more


class EmptyListError(CrnnError):
    """A word list of which nothing is left."""


class WordList:
    """Words drawn by frequency.

    Args:
        counts: word and a positive weight, each word once.

    Raises:
        EmptyListError: there is no word.
    """

    def __init__(self, counts: Iterable[tuple[str, float]]) -> None:
        pairs = [(word, weight**_TEMPER) for word, weight in counts if word and weight > 0]
        if not pairs:
            raise EmptyListError(
                "the word list is empty: no word has all its characters in the alphabet"
            )
        self.words = [word for word, _ in pairs]
        self._cumulative = list(itertools.accumulate(weight for _, weight in pairs))

    def draw(self, rng: random.Random) -> str:
        """One word, by frequency."""
        return self.words[bisect.bisect(self._cumulative, rng.random() * self._cumulative[-1])]

    def having(self) -> dict[str, list[str]]:
        """Character → at most 8 of the most frequent words that have it."""
        found: dict[str, list[str]] = {}
        for word in self.words:
            for character in word:
                known = found.setdefault(character, [])
                if len(known) < 8:
                    known.append(word)
        return found


def read_counts(path: Path) -> list[tuple[str, float]]:
    """A UTF-8 word list: one word per line, optionally followed by a space or tab and a count.

    Raises:
        CrnnError: not readable, not UTF-8, empty, or a count is not a number.
    """
    counts: dict[str, float] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.rsplit(maxsplit=1)
        if not fields:
            continue
        try:
            counts[fields[0]] = float(fields[1]) if len(fields) == 2 else 1.0
        except ValueError as error:
            raise CrnnError(f"{path}:{number}: the count {fields[1]!r} is not a number") from error
    if not counts:
        raise CrnnError(f"{path} has no word: give one a line")
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def read_languages(path: Path) -> dict[str, list[tuple[str, float]]]:
    """A word list for every language, or a folder of ``zh.txt`` and ``en.txt``.

    Raises:
        CrnnError: see `read_counts`; or a folder lacks a language.
    """
    lists = {language: path / f"{language}.txt" for language in LANGUAGES}
    if not path.is_dir():
        return dict.fromkeys(LANGUAGES, read_counts(path))
    return {language: read_counts(file) for language, file in lists.items()}


@lru_cache(maxsize=4)
def shipped_counts(language: str) -> tuple[tuple[str, float], ...]:
    """The words of ``zh`` (wordfreq, then jieba's dictionary) or ``en`` (wordfreq), frequent first.

    Raises:
        MissingDependencyError: wordfreq or jieba is not installed.
    """
    try:
        import wordfreq  # noqa: PLC0415 - optional, and slow to load
    except ImportError as error:
        raise MissingDependencyError.of_extra("wordfreq", "synth") from error
    counts = {
        word: frequency
        for word, frequency in wordfreq.get_frequency_dict(language, "small").items()
        if len(word) <= _LONGEST
    }
    wordfreq.get_frequency_dict.cache_clear()  # tens of megabytes in every worker
    if language == "zh":
        spec = importlib.util.find_spec("jieba")
        if spec is None or not spec.submodule_search_locations:
            raise MissingDependencyError.of_extra("jieba", "synth")
        dictionary = Path(spec.submodule_search_locations[0]) / "dict.txt"
        # Jieba counts up to about 9e5 where wordfreq has 0.05.
        for line in read_text(dictionary).splitlines():
            word, count, _ = line.split(" ")
            if word not in counts and len(word) <= 6 and int(count) >= _SELDOM:
                counts[word] = float(count) * 2e-8
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


class Lexicon:
    """Everything that generators of text draw from.

    Args:
        alphabet: characters that may appear; None allows all.
        split: which words take part, see `in_split`.
        corpus: running text; None makes it of words.
        counts: language → words to use in place of the shipped ones.
    """

    def __init__(
        self,
        alphabet: Alphabet | None = None,
        split: Split = "all",
        corpus: Corpus | None = None,
        counts: Mapping[str, Sequence[tuple[str, float]]] | None = None,
    ) -> None:
        self.alphabet = alphabet
        self.split: Split = split
        self.corpus = corpus
        self._counts = counts
        self._lists: dict[str, WordList | EmptyListError] = {}
        self._having: dict[str, list[str]] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_lists": {}, "_having": None}

    def allows(self, text: str) -> bool:
        """True if the alphabet has every character of ``text``."""
        return self.alphabet is None or self.alphabet.has(text)

    def words(self, language: str) -> WordList:
        """The list of ``zh`` or ``en``, made at first use.

        Raises:
            EmptyListError: the alphabet and the split leave no word.
        """
        if language not in self._lists:
            try:
                self._lists[language] = WordList(self._fit(language))
            except EmptyListError as error:
                self._lists[language] = error
        found = self._lists[language]
        if isinstance(found, EmptyListError):
            raise found
        return found

    def languages(self) -> list[str]:
        """Those of which the alphabet and the split leave a word."""
        return [each for each in LANGUAGES if any(True for _ in self._fit(each))]

    def _fit(self, language: str) -> Iterable[tuple[str, float]]:
        counts = shipped_counts(language) if self._counts is None else self._counts[language]
        return (
            (word, count)
            for word, count in counts
            if self.allows(word)
            and in_split(word, self.split)
            and (self._counts is not None or _is_of(word, language))
        )

    def zh(self, rng: random.Random) -> str:
        """One Chinese word."""
        return self.words("zh").draw(rng)

    def en(self, rng: random.Random) -> str:
        """One English word in lower case."""
        return self.words("en").draw(rng)

    def word_with(self, character: str, rng: random.Random) -> str:
        """A word that has ``character``, or the character alone."""
        if not "\u4e00" <= character <= "\u9fff":
            return character
        if self._having is None:
            self._having = self.words("zh").having()
        words = self._having.get(character)
        return rng.choice(words) if words else character


def _is_of(word: str, language: str) -> bool:
    if language == "zh":
        return all("\u4e00" <= character <= "\u9fff" for character in word)
    return word.isascii() and word.replace("'", "").isalpha()
