"""`PageSynthesizer`: page ``i`` of a seed as a pure function of ``i``."""

import dataclasses
import hashlib
import random
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from crnn.synth.engine import Paths, Synthesizer
from crnn.synth.fonts.faces import FontSet
from crnn.synth.fonts.glyphs import GlyphCache
from crnn.synth.page.contents import KINDS, Writer, choose_language
from crnn.synth.page.sheet import PageText, Sheet, Type
from crnn.synth.page.view import VIEWS, view
from crnn.synth.picture.look import pick
from crnn.synth.split import Split
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

_BODY = (20, 34)  # pixels per em of running text
_LINES = {"receipt": (24, 34), "notice": (26, 40)}  # em of body text that a page is wide
_WIDE = (30, 46)
_ATTEMPTS = 8
_FACES = {"hand": 0.0, "display": 0.0, "pixel": 0.0, "segment": 0.0, "mono": 0.3}
"""Kinds of faces that pages are not set in, or seldom, unless fonts are named."""


@dataclasses.dataclass(frozen=True)
class PageSample:
    """One synthetic page.

    Attributes:
        image: (H, W, 3) RGB.
        lines: in reading order.
        kind: of page, a key of `crnn.synth.page.contents.KINDS`.
        view: how it is seen, a key of `crnn.synth.page.view.VIEWS`.
    """

    image: npt.NDArray[np.uint8]
    lines: Sequence[PageText]
    kind: str
    view: str


class PageSynthesizer:
    """Draws synthetic pages; random access, so that page ``i`` of a seed is always the same.

    Args:
        seed: another seed gives other pages.
        fonts: see `crnn.synth.Synthesizer`.
        split: ``train``, ``heldout`` or ``all`` font families and words.
        alphabet: characters that may appear; None takes those of ``zh``.
        pictures: photographs or folders of them, for tables that pages lie on.
        kinds: of pages → how often; None takes all alike.
        views: of pages → how often; None is `VIEWS`.

    Raises:
        CrnnError: an unknown kind or view; no usable font; no word in the alphabet.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        fonts: Paths | None = None,
        split: Split = "all",
        alphabet: Alphabet | None = None,
        pictures: Paths | None = None,
        kinds: Mapping[str, float] | None = None,
        views: Mapping[str, float] | None = None,
    ) -> None:
        self.seed, self.split = seed, split
        self.kinds = _known(kinds, dict.fromkeys(KINDS, 1.0), "kind of page")
        self.views = _known(views, VIEWS, "view of a page")
        lines = Synthesizer(
            "document", seed, fonts=fonts, split=split, alphabet=alphabet, pictures=pictures
        )
        self.fonts = FontSet(lines.fonts.faces, weights={} if fonts else _FACES)
        self.alphabet = lines.alphabet
        self._lexicon, self._textures = lines.texts.lexicon, lines.backgrounds
        self._languages = [
            each for each in self._lexicon.languages() if each != "zh" or self.fonts.has_han
        ]
        if not self._languages:
            raise CrnnError("the alphabet has no word of Chinese or English to write")
        self._cache = GlyphCache(64 << 20)

    def page(self, index: int) -> PageSample:
        """Draw page ``index``, 0 or more.

        Raises:
            CrnnError: no font has the characters of a page.
        """
        key = f"page/{self.seed}/{self.split}/{index}".encode()
        rng = random.Random(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest()))
        kind, seen = pick(rng, self.kinds), pick(rng, self.views)
        for _ in range(_ATTEMPTS):
            sheet = self._sheet(kind, rng)
            if sheet.lines:
                image, lines = view(sheet, seen, self._textures, rng)
                return PageSample(image, lines, kind, seen)
        raise CrnnError(f"no font has the characters of page {index}: `make fonts` installs more")

    def _sheet(self, kind: str, rng: random.Random) -> Sheet:
        language = choose_language(rng, self._languages)
        face = self.fonts.choose(rng, "的" if language == "zh" else "ae")
        if face is None:
            raise CrnnError("no font has letters: `make fonts` installs some")
        em = rng.randint(*_BODY)
        body = Type(face=face, em=em, leading=rng.uniform(1.4, 1.9))
        width = round(em * rng.uniform(*_LINES.get(kind, _WIDE)))
        shape = rng.uniform(0.7, 1.1) if kind == "notice" else rng.uniform(1.1, 1.45)
        sheet = Sheet(round(width * shape), width, self._cache, rng)
        writer = Writer(
            rng=rng, lexicon=self._lexicon, fonts=self.fonts, language=language, body=body
        )
        KINDS[kind](sheet, writer)
        return sheet


def _known(
    given: Mapping[str, float] | None, known: Mapping[str, float], what: str
) -> Mapping[str, float]:
    if unknown := sorted((given or {}).keys() - known.keys()):
        raise CrnnError(f"no {what} {unknown[0]!r}: choose from {', '.join(known)}")
    return given or known
