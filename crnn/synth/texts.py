"""`Texts`: which text a line has: generators by weight, and rare characters lifted."""

import itertools
import math
import random
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from crnn.synth.corpora.corpus import open_corpus
from crnn.synth.fonts import FontSet
from crnn.synth.look import pick
from crnn.synth.split import Split, in_split
from crnn.synth.text import SOURCES
from crnn.synth.words import EmptyListError, Lexicon, read_languages
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

_ATTEMPTS, _PATIENCE = 200, 30
_PROSE = frozenset(("zh-running", "zh-window", "zh-phrase", "en-running", "en-phrase"))


class Texts:
    """Draws the text of lines.

    Attributes:
        is_made_up: prose is words in a random order, for there is no corpus.
        without_font: characters of the alphabet that no face has.

    Args:
        sources: generator → how often, keys of `SOURCES`.
        alphabet: characters that may appear.
        fonts: lifted characters are those that a face has.
        split: which words and texts take part.
        corpus: files of running text, none for made-up prose.
        words: a word list in place of the shipped ones, or a folder of one per language.
        rare: lifted characters per line.

    Raises:
        CrnnError: an empty corpus or word list, or ``rare`` beyond what lines can hold.
    """

    def __init__(
        self,
        sources: Mapping[str, float],
        alphabet: Alphabet,
        fonts: FontSet,
        *,
        split: Split = "all",
        corpus: Sequence[Path] = (),
        words: str | Path | None = None,
        rare: float = 0.0,
    ) -> None:
        self._weights = dict(sources)
        self.is_made_up = not corpus and not _PROSE.isdisjoint(sources)
