"""`Texts`: which text a line has: generators by weight, and rare characters lifted."""

import itertools
import math
import random
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from crnn.scripts import needs_shaping, to_visual
from crnn.synth.fonts.faces import FontSet
from crnn.synth.picture.look import pick
from crnn.synth.split import Split, in_split
from crnn.synth.text.corpus import open_corpus
from crnn.synth.text.generators import SOURCES
from crnn.synth.text.words import EmptyListError, Lexicon, read_languages
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

_ATTEMPTS, _PATIENCE = 200, 30
PROSE = frozenset(("zh-running", "zh-window", "zh-phrase", "en-running", "en-phrase"))
"""Generators that cut sentences out of a corpus if there is one."""


class Texts:
    """Draws the text of lines.

    Attributes:
        is_made_up: prose is words in a random order, for there is no corpus.
        without_font: characters of the alphabet that no face has.
        not_drawn: those that glyphs side by side do not show: joined letters, marks, flags.

    Args:
        sources: generator → how often, keys of `SOURCES`.
        alphabet: characters that may appear.
        fonts: lifted characters are those that a face has.
        split: which words and texts take part.
        corpus: files of running text, none for made-up prose.
        words: a word list in place of the shipped ones, or a folder of one per language.
        rare: lifted characters per line.
        lift: the characters that are lifted; None lifts the whole alphabet.

    Raises:
        CrnnError: an empty corpus or word list, ``rare`` beyond what lines can hold, or a
            character of ``lift`` that the alphabet lacks.
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
        lift: str | None = None,
    ) -> None:
        self._weights = dict(sources)
        self.is_made_up = not corpus and not PROSE.isdisjoint(sources)
        self._alphabet = alphabet
        self._split: Split = split
        self.lexicon = Lexicon(
            alphabet,
            split,
            open_corpus(corpus, split) if corpus else None,
            read_languages(Path(words)) if words is not None else None,
        )
        if not 0 <= rare <= 3:
            raise CrnnError(f"{rare:g} lifted characters per line, of 0 to 3: draw more lines")
        self._rare = rare
        faces = fonts.faces_for(alphabet)
        self.without_font = [
            c
            for c in alphabet
            if c != " " and not (_is_drawn(c) and any(face.covers(c) for face in faces))
        ]
        missing = set(self.without_font)
        self.not_drawn = [c for c in self.without_font if not _is_drawn(c)]
        self.without_font = [c for c in self.without_font if _is_drawn(c)]
        wanted = alphabet.characters if lift is None else alphabet.split(lift)
        if unknown := alphabet.unknown(lift or ""):
            raise CrnnError(f"lift: {unknown[0]!r} is not in the alphabet")
        self.lifted = [c for c in dict.fromkeys(wanted) if c not in missing]
        random.Random(len(self.lifted)).shuffle(self.lifted)

    def draw(self, index: int, rng: random.Random, *, lift: bool) -> str:
        """The text of line ``index``, in visual order: see `crnn.scripts`.

        Raises:
            CrnnError: the generators or the corpus give nothing that the alphabet allows.
        """
        plain = text = self._plain(rng)
        if lift and self._rare and len(self.lifted) > 1:
            first, last = math.floor(index * self._rare), math.floor((index + 1) * self._rare)
            parts = last - first
            # Each into a part of its own, so that none overwrites another.
            entries = self._alphabet.split(text)
            cuts = [len(entries) * part // max(1, parts) for part in range(parts + 1)]
            pieces = ["".join(entries[a:b]) for a, b in itertools.pairwise(cuts)]
            for part, slot in enumerate(range(first, last)):
                lifted = self.lifted[slot % len(self.lifted)]
                pieces[part] = self._insert(pieces[part], lifted, rng)
            text = "".join(pieces).strip() or text
        # Where entries are several code points, neighbours may have become another entry.
        return to_visual(text if self.lexicon.allows(text) else plain)

    def _plain(self, rng: random.Random) -> str:
        text, is_shaped = "", False
        for attempt in range(_ATTEMPTS):
            source = SOURCES[pick(rng, self._weights)]
            try:
                text = source(rng, self.lexicon).strip()
            except EmptyListError:  # another source may do without words
                continue
            if attempt >= _PATIENCE:
                # A small alphabet: take what it has of a text rather than no text.
                text = "".join(filter(self.lexicon.allows, text)).strip()
            is_shaped = needs_shaping(text)
            allowed = text and self.lexicon.allows(text) and in_split(text, self._split)
            if allowed and not is_shaped:
                return text
        if is_shaped:
            raise CrnnError(
                f"texts such as {text[:20]!r} are not drawn: their letters join, or marks stand on "
                "them; train on pictures of real lines instead (crnn-train --dataset-root)"
            )
        raise CrnnError(
            f"{_ATTEMPTS} texts in a row are empty or outside the alphabet, the last "
            f"{text[:20]!r}: give another corpus or alphabet"
        )

    def _insert(self, text: str, character: str, rng: random.Random) -> str:
        """Put a word with ``character`` somewhere in ``text``, whose length changes little."""
        if character == " ":
            # Inside, where it can be seen; next to a character of its own if need be.
            other = next(c for c in self.lifted if c != " ")
            middle = max(1, len(text) // 2)
            return f"{text[:middle].strip() or other} {text[middle + 1 :].strip() or other}"
        entries = self._alphabet.split(text)
        word = self._alphabet.split(self.lexicon.word_with(character, rng))
        if len(word) > max(4, len(entries)):
            word = [character]
        place = rng.randint(0, max(0, len(entries) - len(word)))
        return "".join((*entries[:place], *word, *entries[place + len(word) :]))


def _is_drawn(entry: str) -> bool:
    """Whether code points drawn one after the other show an entry: not marks, not flags."""
    if needs_shaping(entry):
        return False
    return len(entry) == 1 or not any(
        unicodedata.category(c)[0] == "C" or "🇦" <= c <= "🇿" for c in entry
    )
