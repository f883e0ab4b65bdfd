"""The coverage report: how often each character of an alphabet appears, as table and plot."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.alphabet import Alphabet

_STEPS = (1, 10, 100, 1000)


class Coverage:
    """Counts of the characters of an alphabet.

    Args:
        alphabet: the characters to report.
        texts: texts to count at once.
    """

    def __init__(self, alphabet: Alphabet, texts: Iterable[str] = ()) -> None:
        self.alphabet = alphabet
        self.counts: Counter[str] = Counter()
        self.lines = 0
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Count one line."""
        self.counts.update(self.alphabet.split(text))
        self.lines += 1

    def at_least(self, least: int) -> int:
        """Counts the characters of the alphabet that appear at least so often."""
        return sum(self.counts[character] >= least for character in self.alphabet.codes)

    def summary(self) -> str:
        """One line: lines, characters, and how many of the alphabet appear how often."""
        size = len(self.alphabet.codes)
        steps = ", ".join(f"{self.at_least(step)} at least {step}x" for step in _STEPS)
        return f"{self.lines} lines, {self.counts.total()} characters; of {size}: {steps}"

    def write(self, path: Path) -> None:
        """Write the table (``.tsv``: character, code, count; rare first) or the plot (``.png``).

        Raises:
            CrnnError: another suffix, or not writable.
            MissingDependencyError: matplotlib is not installed.
        """
        if path.suffix == ".tsv":
            content = self._table().encode()
            write_atomically(path, lambda part: part.write_bytes(content))
        elif path.suffix == ".png":
            write_atomically(path, self._plot)
        else:
            raise CrnnError(f"coverage file {path}: end it in .tsv for a table or .png for a plot")

    def _table(self) -> str:
        codes = sorted(self.alphabet.codes.items(), key=lambda pair: (self.counts[pair[0]], pair))
        rows = [f"{c}\t{code}\t{self.counts[c]}" for c, code in codes]
        return "\n".join(("character\tcode\tcount", *rows)) + "\n"

    def _plot(self, path: Path) -> None:
        try:
            from matplotlib.figure import Figure  # noqa: PLC0415 - of the extra "synth"
        except ImportError as error:
            raise MissingDependencyError.of_extra("matplotlib", "synth") from error
        counts = sorted((self.counts[c] for c in self.alphabet.codes), reverse=True)
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(range(1, len(counts) + 1), [max(count, 0.5) for count in counts], lw=1.8)
        axes.set(xscale="log", yscale="log", xlabel="characters of the alphabet, frequent first")
        axes.set(ylabel="times seen (0 drawn at 0.5)", title=f"{self.lines:,} lines")
        for step in _STEPS:
            reached = self.at_least(step)
            axes.axhline(step, color="0.85", lw=0.8, zorder=0)
            axes.annotate(f"{reached:,} characters ≥ {step}", (1.1, step), va="bottom", fontsize=8)
        figure.savefig(path, format="png", dpi=110)
