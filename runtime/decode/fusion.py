"""A language model beside a reader: what it adds to the score of a text."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crnn_runtime.decode.language_model import (
    Floats,
    Ints,
    LanguageModel,
    Scorer,
    open_language_model,
)
from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)

_NONE = -1  # in the table of words: an entry has no further one


def open_fusion(
    path: str | Path, characters: Sequence[str], weight: float, length_bonus: float
) -> "ShallowFusion":
    """A language model's file beside a reader; arguments as of `ShallowFusion`.

    Raises:
        CrnnError: the file is no language model, or none of the reader's characters.
        MissingDependencyError: a KenLM binary and no ``kenlm``.
    """
    model = open_language_model(path)
    _check_fit(path, model, characters)
    return ShallowFusion(model, characters, weight, length_bonus)


def _check_fit(path: str | Path, model: LanguageModel, characters: Sequence[str]) -> None:
    """Refuse a model of words, and count the characters that the model lacks."""
    wanted = list(dict.fromkeys(characters))
    missing = [entry for entry in wanted if not all(map(model.knows, _pieces(model, entry)))]
    lacks = f"language model {path} lacks {len(missing):,} of the reader's {len(wanted):,}"
    if len(missing) == len(wanted) or model.is_of_words(characters):
        raise CrnnError(
            f"{lacks} characters: it is a model of words or of another script; make one of "
            "characters with crnn-lm"
        )
    if missing:
        shown = " ".join(map(repr, missing[:10])) + (" …" if len(missing) > 10 else "")
        logger.warning("%s characters, which it takes for unknown ones: %s", lacks, shown)


def _pieces(model: LanguageModel, entry: str) -> Sequence[str]:
    """An entry as a language model has it: one word, or its code points one by one."""
    return (entry,) if len(entry) == 1 or model.knows(entry) else entry


class ShallowFusion:
    """A language model beside a reader (Gulcehre et al. 2015, section 4.1).

    A text of L characters scores ``ln p(text | image) + weight · ln p_lm(text) +
    length_bonus · L``.

    Args:
        model: of the language.
        characters: what the reader's classes stand for, from class 1.
        weight: of the language model.
        length_bonus: added per character, against a language model's taste for
            short texts.
    """

    def __init__(
        self,
        model: LanguageModel,
        characters: Sequence[str],
        weight: float,
        length_bonus: float,
    ) -> None:
        self._model = model
        pieces = [_pieces(model, entry) for entry in characters]
        lengths = np.array([0, *map(len, pieces)])
        # (C, K): the words of each class, one after the other.
        self._words = np.full((len(lengths), lengths.max()), _NONE, np.int64)
        self._words[np.arange(lengths.max()) < lengths[:, None]] = model.words(
            [piece for entry in pieces for piece in entry]
        )
        self._weight = weight
        self._bonus = length_bonus

    def session(self) -> "FusionSession":
        """Returns an object that scores the lines of one batch."""
        return FusionSession(self._model.scorer(), self._words, self._weight, self._bonus)


class FusionSession:
    """Scores classes one after the other: a `crnn_runtime.decode.beam.Fusion`."""

    def __init__(self, scorer: Scorer, words: Ints, weight: float, length_bonus: float) -> None:
        self._scorer = scorer
        self._words = words
        self._weight = weight
        self._bonus = length_bonus

    def start(self) -> int:
        """State of the empty text."""
        return self._scorer.start

    def grow(self, states: Ints, codes: Ints) -> tuple[Floats, Ints]:
        """States and classes, broadcast → what they add to the score, and the next states."""
        first = np.maximum(self._words[:, 0], 0)  # the blank grows nothing
        log_probs, following = self._scorer.advance(states, first[codes])
        for further in self._words.T[1:]:  # entries of several words
            words = further[codes]
            more = np.broadcast_to(words != _NONE, log_probs.shape)
            if more.any():
                added, after = self._scorer.advance(following, np.maximum(words, 0))
                log_probs = np.where(more, log_probs + added, log_probs)
                following = np.where(more, after, following)
        return self._weight * log_probs + self._bonus, following

    def end(self, states: Ints) -> Floats:
        """Returns the scores for ending the line."""
        return self._weight * self._scorer.end(states)
