"""A character n-gram language model from lines of text.

Smoothing is interpolated Witten-Bell (Witten and Bell 1991, method C; Chen and
Goodman 1998, section 2.5), which needs no held-out text and no counts of counts,
and holds up on small texts of few symbols::

    p(w | h) = (c(h w) + t(h) p(w | h')) / (c(h) + t(h))

c counts occurrences, t(h) different characters after h, and h' is h without its
first character. The model of the empty context falls back on equal shares for
every character of the text, the line's end and ``<unk>``.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import log10

from crnn_runtime.decode.language_model import END, SPACE_WORDS, START, UNKNOWN
from crnn_runtime.errors import CrnnError

MAX_ORDER = 12

_Counts = dict[tuple[str, ...], dict[str, int]]


def build_ngrams(lines: Iterable[str], order: int) -> str:
    """Lines of text → the content of an ARPA file.

    Args:
        lines: as the reader should read them; empty ones are left out.
        order: characters of the longest n-gram.

    Raises:
        CrnnError: there is no text, or the order is not in 1..`MAX_ORDER`.
    """
    if not 1 <= order <= MAX_ORDER:
        raise CrnnError(f"order is {order}: it must be in 1..{MAX_ORDER}")
    counts = _count(lines, order)
    if not counts:
        raise CrnnError("the text holds no line to learn from")
    sections = _sections(counts, order)
    head = [f"ngram {n}={len(section)}" for n, section in enumerate(sections, start=1)]
    body = ["\n".join([f"\\{n}-grams:", *section]) for n, section in enumerate(sections, start=1)]
    return "\n\n".join(["\n".join(["\\data\\", *head]), *body, "\\end\\"]) + "\n"


def _count(lines: Iterable[str], order: int) -> _Counts:
    """Counts the characters that follow each context of less than ``order`` characters."""
    counts: _Counts = defaultdict(lambda: defaultdict(int))
    for line in lines:
        if not line:
            continue
        words = [START, *(SPACE_WORDS[0] if c == " " else c for c in line), END]
        for end in range(1, len(words)):
            for start in range(max(0, end - order + 1), end + 1):
                counts[tuple(words[start:end])][words[end]] += 1
    return counts


def _sections(counts: _Counts, order: int) -> list[list[str]]:
    """The n-grams of each length as lines of an ARPA file."""
    vocabulary = len(counts[()]) + 1  # and <unk>
    probs: dict[tuple[str, ...], float] = {}
    unseen = {  # what a context leaves to the one below it
        context: len(after) / (sum(after.values()) + len(after))
        for context, after in counts.items()
    }
    sections: list[list[str]] = [[] for _ in range(order)]
    for context in sorted(counts, key=lambda words: (len(words), words)):
        after = counts[context]
        total = sum(after.values()) + len(after)
        for word in sorted(after):
            shorter = probs[(*context[1:], word)] if context else 1 / vocabulary
            gram = (*context, word)
            probs[gram] = after[word] / total + unseen[context] * shorter
            sections[len(context)].append(_line(log10(probs[gram]), gram, unseen))
    sections[0].append(_line(log10(unseen[()] / vocabulary), (UNKNOWN,), unseen))
    sections[0].append(_line(-99, (START,), unseen))
    return sections


def _line(log_prob: float, gram: tuple[str, ...], unseen: dict[tuple[str, ...], float]) -> str:
    back_off = f"\t{log10(unseen[gram]):.7f}" if gram in unseen else ""
    return f"{log_prob:.7f}\t{' '.join(gram)}{back_off}"
