"""Turns a model's outputs into text: the options, and the decoder that searches.

Formulas, for every decoder (docs/decoding.md explains the choices):

- a character's **confidence** is the highest probability of its class over the time
  steps the text's most probable path spends on it; on the best path, that is the
  highest probability of its run;
- its **x-range** is that of these time steps, see `crnn_runtime.pipeline.char_spans`;
- an alternative's **log_prob** is ln p(text | image), p the sum over all paths that
  read as it (Graves et al. 2006, equation 3);
- a line's **confidence** is, on the best path, the geometric mean of its characters',
  of an empty line, of the blank's over all time steps; after a search for a text of
  L characters, p(text | image) ^ (1 / max(L, 1)). That is the same mean, but what the
  text leaves out counts too: a lexicon may leave out a character that is plain to see.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.decode.beam import Hypothesis, prefix_beam_search
from crnn_runtime.decode.characters import permitted_classes
from crnn_runtime.decode.fusion import ShallowFusion, open_fusion
from crnn_runtime.decode.greedy import GreedyDecoder
from crnn_runtime.decode.lattice import Lattice, Outputs, align, to_lattice
from crnn_runtime.decode.lexicon import Lexicon, read_entries
from crnn_runtime.decode.reading import Decoder, Reading
from crnn_runtime.errors import CrnnError
from crnn_runtime.line import Alternative
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard

SURE_BLANK = 1 - 1e-4
"""A step whose blank is more probable is not searched, see `prefix_beam_search`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Options for turning a model's outputs into text.

    All but the best path need the probabilities of more classes than the best: a
    model exported with ``--head topk`` or ``--head log-probs``.

    Attributes:
        method: ``greedy`` is the best path, ``beam`` prefix beam search; None is
            ``beam`` if any of ``lm``, ``lexicon`` and ``nbest`` asks for a search.
        beam_width: prefixes kept per time step.
        top_k: classes tried per time step; a ``topk`` head may give fewer.
        nbest: alternatives wanted.
        lm: file of a character language model, ARPA or KenLM binary.
        lm_weight: of the language model's logarithms.
        length_bonus: added to the score per character.
        lexicon: texts of which every line is one, or a file with one a line. The
            search is then exact and ``beam_width`` and ``top_k`` have no effect.
        allow: characters that may be read, as a text or several, None for all.
        deny: characters that may not.

    Raises:
        CrnnError: options that are out of range or exclude each other.
    """

    method: Literal["greedy", "beam"] | None = None
    beam_width: int = 8
    top_k: int = 8
    nbest: int = 1
    lm: str | Path | None = None
    lm_weight: float = 0.5
    length_bonus: float = 0.0
    lexicon: str | Path | Sequence[str] | None = None
    allow: Sequence[str] | None = None
    deny: Sequence[str] = ""

    def __post_init__(self) -> None:
        if self.method not in (None, "greedy", "beam"):
            raise CrnnError(f"decoder is {self.method!r}: it must be greedy or beam")
        for name in ("beam_width", "top_k", "nbest"):
            if getattr(self, name) < 1:
                raise CrnnError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.lexicon is None and self.searches and self.nbest > self.beam_width:
            raise CrnnError(
                f"nbest is {self.nbest} but beam_width is {self.beam_width}: "
                "as many beams as alternatives are needed"
            )
        if self.method == "greedy" and self._needs_search:
            raise CrnnError(
                "the greedy decoder takes no lm, no lexicon and no nbest: choose the decoder beam"
            )
        for name in ("lm_weight", "length_bonus"):
            if not math.isfinite(getattr(self, name)):
                raise CrnnError(f"{name} is {getattr(self, name)}: it must be a finite number")
        if self.lm is None and self.length_bonus:
            raise CrnnError("length_bonus balances a language model: give lm too")

    @property
    def _needs_search(self) -> bool:
        return self.lm is not None or self.lexicon is not None or self.nbest > 1

    @property
    def searches(self) -> bool:
        """Whether this is more than the best path."""
        return self.method == "beam" or self._needs_search


def open_decoder(options: Decoding, card: ModelCard) -> Decoder:
    """The decoder of a model.

    Raises:
        CrnnError: the model's head gives too little, a file cannot be used, or
            nothing may be read.
        MissingDependencyError: a KenLM binary and no ``kenlm``.
    """
    restricts = options.allow is not None or options.deny
    if card.head == "greedy" and (options.searches or restricts):
        raise CrnnError(
            "the model gives the best class of a time step only (head greedy); beam search, "
            "lexicons and allowed or denied characters need more: export it with "
            "crnn-export --head topk or --head log-probs"
        )
    alphabet = card.alphabet
    permitted = permitted_classes(alphabet, options.allow, options.deny) if restricts else None
    if not options.searches:
        return GreedyDecoder(alphabet, permitted)
    fusion = None
    if options.lm is not None:
        fusion = open_fusion(
            options.lm, alphabet.characters, options.lm_weight, options.length_bonus
        )
    return SearchDecoder(options, alphabet, permitted, fusion)


class SearchDecoder:
    """The most probable texts, by prefix beam search or among the entries of a lexicon.

    Args:
        options: what to search for.
        alphabet: of the model.
        permitted: (C,) which classes may be read, None for all.
        fusion: the language model.

    Raises:
        CrnnError: the lexicon cannot be used.
    """

    def __init__(
        self,
        options: Decoding,
        alphabet: Alphabet,
        permitted: NDArray[np.bool_] | None = None,
        fusion: ShallowFusion | None = None,
    ) -> None:
        self._options = options
        self._alphabet = alphabet
        self._permitted = permitted
        self._fusion = fusion
        self._lexicon: Lexicon | None = None
        if (given := options.lexicon) is not None:
            entries = read_entries(given) if isinstance(given, str | Path) else given
            self._lexicon = Lexicon(entries, alphabet, permitted)
        self.whole_lines = self._lexicon is not None

    def decode(self, outputs: Outputs, steps: NDArray[np.integer]) -> list[Reading]:
        """See `Decoder.decode`; needs a ``topk`` or ``log-probs`` head.

        Raises:
            CrnnError: `Decoding.top_k` is above what the model gives and the default.
        """
        top_k: int | None = self._options.top_k
        if self._lexicon:  # looks its classes up: needs the best only, or all that there are
            top_k = 1 if "log_probs" in outputs else None
        else:
            classes = outputs["topk_ids" if "topk_ids" in outputs else "log_probs"].shape[2]
            _check_top_k(self._options.top_k, classes)
        lattice = to_lattice(
            outputs, steps, top_k=top_k, alphabet=self._alphabet, permitted=self._permitted
        )
        found = self._search(lattice)
        nothing = np.zeros(0, np.int64)
        texts = [hypotheses[0].codes if hypotheses else nothing for hypotheses in found]
        lengths = np.array([len(codes) for codes in texts], np.int64)
        padded = np.zeros((len(texts), int(lengths.max(initial=0))), np.int64)
        for row, codes in zip(padded, texts, strict=True):
            row[: len(codes)] = codes
        spans = align(lattice, padded, lengths)
        readings = []
        for n, (codes, count) in enumerate(zip(texts, lattice.steps, strict=True)):
            log_prob = found[n][0].log_prob if found[n] else -np.inf
            readings.append(
                Reading(
                    codes=codes,
                    first=spans.first[n, : len(codes)],
                    last=spans.last[n, : len(codes)],
                    confidences=np.exp(spans.log_prob[n, : len(codes)]),
                    confidence=float(np.exp(min(log_prob / max(len(codes), 1), 0.0))),
                    path=lattice.ids[n, :count, 0],
                    alternatives=self._alternatives(found[n]),
                )
            )
        return readings

    def _search(self, lattice: Lattice) -> list[list[Hypothesis]]:
        fusion = self._fusion.session() if self._fusion else None
        if self._lexicon:
            return self._lexicon.search(lattice, best=self._options.nbest, fusion=fusion)
        return prefix_beam_search(
            lattice,
            width=self._options.beam_width,
            best=self._options.nbest,
            fusion=fusion,
            sure_blank=SURE_BLANK,
        )

    def _alternatives(self, found: Sequence[Hypothesis]) -> tuple[Alternative, ...]:
        """Each text once: an alphabet may hold a character under two codes."""
        texts: dict[str, Alternative] = {}
        for hypothesis in found:
            text = self._alphabet.decode(hypothesis.codes.tolist())
            texts.setdefault(text, Alternative(text, hypothesis.log_prob, hypothesis.score))
        return tuple(texts.values())


def _check_top_k(top_k: int, classes: int) -> None:
    if top_k > max(classes, Decoding().top_k):
        raise CrnnError(
            f"top_k is {top_k} but the model gives {classes} classes a time step: ask for fewer, "
            "or export it with crnn-export --head log-probs"
        )
