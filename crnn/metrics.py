"""Measures of reading: exact lines, character error rate and 1-NED, raw and normalised."""

import dataclasses
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from rapidfuzz.distance import Levenshtein


def normalize(text: str) -> str:
    """Removes differences of mere form: two texts that differ in nothing else become the same.

    NFKC (full-width forms become ASCII), white space removed, case folded.
    """
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """Figures over a set of lines; all but `lines` are fractions.

    Attributes:
        lines: how many lines were read.
        exact: share of lines that are exactly right.
        cer: edit distance over the number of true characters (may exceed 1).
        one_minus_ned: mean over lines of 1 - distance / length of the longer
            text, the "1-NED" of the ICDAR competitions (ReCTS 2019).
        exact_normalized: `exact` after `normalize`.
        cer_normalized: `cer` after `normalize`.
        one_minus_ned_normalized: `one_minus_ned` after `normalize`.
    """

    lines: int
    exact: float
    cer: float
    one_minus_ned: float
    exact_normalized: float
    cer_normalized: float
    one_minus_ned_normalized: float

    def __str__(self) -> str:
        return (
            f"{self.exact:.2%} of {self.lines} lines exact, CER {self.cer:.2%}, "
            f"1-NED {self.one_minus_ned:.4f} (normalised: {self.exact_normalized:.2%}, "
            f"{self.cer_normalized:.2%}, {self.one_minus_ned_normalized:.4f})"
        )

    def to_dict(self) -> dict[str, float]:
        """The figures as plain numbers, for logs and model cards."""
        return dataclasses.asdict(self)


@dataclasses.dataclass
class Tally:
    """Sums from which `Scores` are made; tallies of shards add up to that of the whole.

    The fields are counts and sums over lines: of exact lines, edit distances,
    true characters and 1 - NED.
    """

    lines: int = 0
    exact: int = 0
    distance: int = 0
    characters: int = 0
    similarity: float = 0.0

    def add(self, truth: str, reading: str) -> None:
        """Count one line."""
        distance = Levenshtein.distance(truth, reading)
        longer = max(len(truth), len(reading))
        self.lines += 1
        self.exact += truth == reading
        self.distance += distance
        self.characters += len(truth)
        self.similarity += 1 - distance / longer if longer else 1.0

    def figures(self) -> tuple[float, float, float]:
        """Share of exact lines, CER and mean 1-NED; zeros when nothing was counted."""
        lines = max(self.lines, 1)
        # Reading something where nothing is written counts as one error per character read.
        return self.exact / lines, self.distance / max(self.characters, 1), self.similarity / lines


def scores_of(raw: Tally, normalized: Tally) -> Scores:
    """Put the raw and the normalised figures side by side."""
    exact, cer, similarity = raw.figures()
    exact_normalized, cer_normalized, similarity_normalized = normalized.figures()
    return Scores(
        lines=raw.lines, exact=exact, cer=cer, one_minus_ned=similarity,
        exact_normalized=exact_normalized, cer_normalized=cer_normalized,
        one_minus_ned_normalized=similarity_normalized,
    )  # fmt: skip


def score(truths: Iterable[str], readings: Iterable[str]) -> Scores:
    """Compare readings with what is written, line by line.

    Raises:
        ValueError: the two do not have the same length.
    """
    raw, normalized = Tally(), Tally()
    for truth, reading in zip(truths, readings, strict=True):
        raw.add(truth, reading)
        normalized.add(normalize(truth), normalize(reading))
    return scores_of(raw, normalized)


def confusions(truths: Iterable[str], readings: Iterable[str]) -> Counter[tuple[str, str]]:
    """Count what was read for what: pairs of (true, read) characters along the best alignment.

    An empty string stands for nothing: ``("x", "")`` is a lost x, ``("", "x")`` an invented one.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for truth, reading in zip(truths, readings, strict=True):
        for edit in Levenshtein.editops(truth, reading):
            true = truth[edit.src_pos] if edit.tag != "insert" else ""
            read = reading[edit.dest_pos] if edit.tag != "delete" else ""
            pairs[true, read] += 1
    return pairs


def worst(truths: Sequence[str], readings: Sequence[str], count: int) -> list[int]:
    """Indices of the wrong lines, most edits first, at most ``count``."""
    distances = [
        Levenshtein.distance(truth, reading)
        for truth, reading in zip(truths, readings, strict=True)
    ]
    order = sorted(range(len(distances)), key=lambda index: -distances[index])
    return [index for index in order[:count] if distances[index]]
