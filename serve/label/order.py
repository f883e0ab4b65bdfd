"""Chooses the line that comes next, and estimates the errors of those that nobody looks at."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from crnn_serve.label.folder import Entry
from crnn_serve.label.split import rank

_WINDOWS = 50  # remembered: what the others show is not shown twice
_SAMPLE_EVERY = 5  # lines: one of those that were accepted unseen
_Z = 1.96  # standard deviations of a normal distribution that hold 95 %


class Order:
    """The least certain line first, no line in two windows while there are others.

    Args:
        sample: lines that were accepted unseen to look at, all in all.
    """

    def __init__(self, sample: int) -> None:
        self._sample = sample
        self._held: OrderedDict[str, set[str]] = OrderedDict()
        self._given = 0

    def next_for(
        self, window: str, entries: Iterable[Entry], *, all_read: bool
    ) -> tuple[Entry | None, Entry | None]:
        """Returns the line that a window shows now, and the one that it will probably show after
        that.

        Args:
            window: any name that it has.
            entries: all lines.
            all_read: whether the reader has seen them all; only then is it known which
                ones were accepted unseen.
        """
        entries = list(entries)
        held = set().union(*(keys for name, keys in self._held.items() if name != window))
        waiting = _by_certainty(entries)
        sample = self._looked_at(entries) if all_read else []
        free = [entry for entry in waiting if entry.key not in held]
        sampled = [entry for entry in sample if entry.key not in held]
        turn = self._given % _SAMPLE_EVERY == _SAMPLE_EVERY - 1
        chosen = (sampled[:1] if turn else []) + free + sampled[turn:]
        chosen = chosen or waiting + sample  # all are in other windows
        self._hold(window, chosen[:2])
        first, second, *_ = [*chosen, None, None]
        return first, second

    def answered(self) -> None:
        """Count an answer: some of the lines shown come from those accepted unseen."""
        self._given += 1

    def estimate(self, entries: Iterable[Entry]) -> "Estimate | None":
        """Estimates how many of the lines accepted unseen are wrong; None if there are none."""
        trusted = [entry for entry in entries if entry.trusted is not None]
        if not trusted:
            return None
        seen = [entry for entry in trusted if entry.is_settled]
        wrong = sum(entry.kind != "text" or entry.text != entry.trusted for entry in seen)
        return Estimate(len(trusted), len(seen), wrong)

    def _looked_at(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those of the sample that nobody looked at yet. Their names choose it, by a hash."""
        trusted = [entry for entry in entries if entry.trusted is not None]
        seen = sum(entry.is_settled for entry in trusted)
        left = sorted(
            (entry for entry in trusted if entry.kind == "trusted"),
            key=lambda entry: rank(f"sample {entry.path}"),
        )
        return left[: max(0, self._sample - seen)]

    def _hold(self, window: str, entries: Iterable[Entry]) -> None:
        self._held[window] = {entry.key for entry in entries}
        self._held.move_to_end(window)
        while len(self._held) > _WINDOWS:
            self._held.popitem(last=False)


@dataclass(frozen=True)
class Estimate:
    """Lines that were accepted unseen.

    Attributes:
        accepted: how many.
        seen: a random sample of them that a person looked at since.
        wrong: of these, answered otherwise.
    """

    accepted: int
    seen: int
    wrong: int

    def interval(self) -> tuple[float, float]:
        """The share that is wrong, with 95 % confidence (E. B. Wilson, 1927)."""
        if not self.seen:
            return 0.0, 1.0
        n, share, z2 = self.seen, self.wrong / self.seen, _Z * _Z
        centre = share + z2 / (2 * n)
        spread = _Z * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
        low, high = ((centre + sign * spread) / (1 + z2 / n) for sign in (-1, 1))
        return max(0.0, low), min(1.0, high)


def _by_certainty(entries: Iterable[Entry]) -> list[Entry]:
    """Lines without an answer, the least certain first, then those that were put off."""
    open_ = [
        (entry.version, entry.reading.confidence, entry.path, entry)
        for entry in entries
        if entry.kind in (None, "skip") and entry.reading and not entry.reading.error
    ]  # without an answer the version is 0
    return [entry for *_, entry in sorted(open_, key=lambda each: each[:3])]
