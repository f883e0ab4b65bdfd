"""Language models in KenLM's binary format, through its Python package (extra ``lm``)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crnn_runtime.decode.language_model import (
    END,
    LN_10,
    UNKNOWN,
    Floats,
    Ints,
    Scorer,
    names_of,
)
from crnn_runtime.errors import CrnnError, MissingDependencyError

_LEAST_SHARE = 0.5


class KenLmModel:
    """A model that KenLM reads (Heafield 2011): its binaries, or ARPA files.

    Raises:
        MissingDependencyError: ``kenlm`` is not installed.
        CrnnError: KenLM cannot read the file.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import kenlm  # noqa: PLC0415
        except ImportError:
            raise MissingDependencyError.of_extra("kenlm", "lm") from None
        try:
            self._model = kenlm.Model(str(path))
        except (OSError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise CrnnError(f"KenLM cannot read language model {path}: {reason}") from error
        self._new_state = kenlm.State
        self._names = [END]

    def words(self, characters: Sequence[str]) -> Ints:
        """See `LanguageModel.words`."""
        first = len(self._names)
        for character in characters:
            known = (name for name in names_of(character) if name in self._model)
            self._names.append(next(known, UNKNOWN))
        return np.arange(first, len(self._names))

    def knows(self, character: str) -> bool:
        """See `LanguageModel.knows`."""
        return any(name in self._model for name in names_of(character))

    def is_of_words(self, characters: Sequence[str]) -> bool:
        """See `LanguageModel.is_of_words`.

        KenLM does not list its words. So it is judged by how much of a text they are: a
        model that lacks most of the characters and gives the others less than half of the
        probability without context spends the rest on words.
        """
        known = {name for c in characters for name in names_of(c) if name in self._model}
        if len(known) * 2 >= len(set(characters)):
            return False
        context, after = self._new_state(), self._new_state()
        self._model.NullContextWrite(context)
        words = known | {END}
        share = sum(10 ** self._model.BaseScore(context, word, after) for word in words)
        return bool(share < _LEAST_SHARE)

    def scorer(self) -> Scorer:
        """See `LanguageModel.scorer`."""
        return _KenLmScorer(self._model, self._new_state, self._names)


class _KenLmScorer:
    """Scores words with KenLM, one at a time; its answers are kept for the rest of the batch."""

    def __init__(self, model: Any, new_state: Any, names: Sequence[str]) -> None:  # noqa: ANN401
        self._model = model
        self._new_state = new_state
        self._names = names
        first = new_state()
        model.BeginSentenceWrite(first)
        self._states = [first]
        self._numbers = {first: 0}
        self._answers: dict[tuple[int, int], tuple[float, int]] = {}
        self.start = 0

    def advance(self, states: Ints, words: Ints) -> tuple[Floats, Ints]:
        """See `Scorer.advance`."""
        states, words = np.broadcast_arrays(states, words)
        answers = [
            self._answer(*pair)
            for pair in zip(states.ravel().tolist(), words.ravel().tolist(), strict=True)
        ]
        log_probs = np.array([log_prob for log_prob, _ in answers], np.float64)
        following = np.array([state for _, state in answers], np.int64)
        return log_probs.reshape(states.shape), following.reshape(states.shape)

    def end(self, states: Ints) -> Floats:
        """See `Scorer.end`."""
        return self.advance(states, np.zeros_like(states))[0]

    def _answer(self, state: int, word: int) -> tuple[float, int]:
        known = self._answers.get((state, word))
        if known is None:
            after = self._new_state()
            score = self._model.BaseScore(self._states[state], self._names[word], after)
            number = self._numbers.setdefault(after, len(self._states))
            if number == len(self._states):
                self._states.append(after)
            known = self._answers[state, word] = (score * LN_10, number)
        return known
