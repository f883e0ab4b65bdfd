"""Reads lines that can only be an entry of a list: the exact probability of every entry.

Entries share their beginnings in a tree, and the forward pass of CTC (Graves et al.
2006, section 4.1) runs over all its nodes at once, with no beam: of the entries,
the most probable one is always found, however badly the line fits all of them.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.decode.beam import Fusion, Hypothesis
from crnn_runtime.decode.lattice import BLANK, Lattice
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import read_text
from crnn_runtime.model.alphabet import Alphabet, splitter

logger = logging.getLogger(__name__)

CELLS = 500_000
"""Nodes times lines searched together: bounds the memory."""


def read_entries(path: str | Path) -> list[str]:
    """The lines of a UTF-8 file, each once, without white space around them.

    Raises:
        CrnnError: the file cannot be read.
    """
    text = read_text(path, "lexicon")
    entries = [line.strip(" \t\r") for line in text.split("\n")]
    return list(dict.fromkeys(filter(None, entries)))


@dataclass(frozen=True, slots=True)
class _Tree:
    """Nodes by depth; node 0 is the empty text and its own parent."""

    parent: NDArray[np.int64]
    code: NDArray[np.int64]  # class that leads to the node, of node 0 the blank
    depth_ends: NDArray[np.int64]  # number of nodes up to each depth


class Lexicon:
    """Entries that a line may read as.

    Args:
        entries: texts; those with a character that is not permitted are left out,
            with a warning.
        alphabet: of the model.
        permitted: (C,) which classes may be read, None for all.

    Raises:
        CrnnError: no entry is left.
    """

    def __init__(
        self,
        entries: Iterable[str],
        alphabet: Alphabet,
        permitted: NDArray[np.bool_] | None = None,
    ) -> None:
        known = {
            character: code
            for character, code in alphabet.codes.items()
            if permitted is None or permitted[code]
        }
        given = list(dict.fromkeys(entries))
        cut = splitter(known)  # of the permitted ones, so that no other hides them
        parts = {entry: cut(entry) for entry in given}
        self.entries = [e for e in given if e and all(part in known for part in parts[e])]
        if len(self.entries) < len(given):
            unfit = next(e for e in given if not e or any(p not in known for p in parts[e]))
            logger.warning(
                "%d of %d lexicon entries cannot be read (characters outside the alphabet "
                "or not allowed) and are left out, the first is %r",
                len(given) - len(self.entries), len(given), unfit,
            )  # fmt: skip
        if not self.entries:
            raise CrnnError(
                f"none of the {len(given)} lexicon entries consists of characters that the model "
                "reads: check the lexicon against the model's alphabet"
            )
        self._codes = [
            np.array([known[part] for part in parts[entry]], np.int64) for entry in self.entries
        ]
        self._tree, self._leaves = _grow(self._codes)
        longest = max(map(len, self._codes))
        self._padded = np.zeros((len(self.entries), longest), np.int64)
        for row, codes in zip(self._padded, self._codes, strict=True):
            row[: len(codes)] = codes

    def search(
        self, lattice: Lattice, *, best: int = 1, fusion: Fusion | None = None
    ) -> list[list[Hypothesis]]:
        """The ``best`` most probable entries of each line, best first.

        Lines too short for an entry never read as it; a line too short for every
        entry has no hypothesis.
        """
        added = np.zeros(len(self.entries)) if fusion is None else self._added(fusion)
        together = max(1, CELLS // len(self._tree.code))
        found = []
        for start in range(0, len(lattice.ids), together):
            log_probs = self._forward(lattice.of_lines(slice(start, start + together)))
            for row in log_probs:
                order = np.argsort(-(row + added), kind="stable")[:best]
                found.append(
                    [
                        Hypothesis(self._codes[e], float(row[e]), float(row[e] + added[e]))
                        for e in order
                        if np.isfinite(row[e])
                    ]
                )
        return found

    def _added(self, fusion: Fusion) -> NDArray[np.float64]:
        """Returns the score that the fusion adds to each entry."""
        state = np.full(len(self.entries), fusion.start())
        added = np.zeros(len(self.entries))
        for position in range(self._padded.shape[1]):
            inside = self._padded[:, position] > 0
            gain, following = fusion.grow(state[inside], self._padded[inside, position])
            added[inside] += gain
            state[inside] = following
        return added + fusion.end(state)

    def _forward(self, lattice: Lattice) -> NDArray[np.float64]:
        """Log-probability of every entry, (N, E)."""
        tree, steps = self._tree, lattice.steps
        used, of_node = np.unique(tree.code, return_inverse=True)  # the blank comes first
        emitted = lattice.of_classes(np.broadcast_to(used, (len(steps), len(used))))
        shape = (len(steps), len(tree.code))
        ended = np.full(shape, -np.inf)  # the paths that end with a blank
        ended[:, 0] = 0
        open_ = np.full(shape, -np.inf)
        repeats = tree.code == tree.code[tree.parent]
        total = ended.copy()
        final = ended.copy()
        for t in range(int(steps.max(initial=0))):
            # A step makes texts at most one character longer.
            reach = tree.depth_ends[min(t + 1, len(tree.depth_ends) - 1)]
            parent = tree.parent[:reach]
            arriving = np.where(repeats[:reach], ended[:, parent], total[:, parent])
            arriving[:, 0] = -np.inf
            emission = emitted[:, t]
            open_[:, :reach] = (
                np.logaddexp(open_[:, :reach], arriving) + emission[:, of_node[:reach]]
            )
            ended[:, :reach] = total[:, :reach] + emission[:, BLANK, None]
            np.logaddexp(ended, open_, out=total)
            np.copyto(final, total, where=(steps == t + 1)[:, None])
        return final[:, self._leaves]


def _grow(entries: Sequence[NDArray[np.int64]]) -> tuple[_Tree, NDArray[np.int64]]:
    """The tree of entries, and the node that each entry ends in."""
    parent, code = [0], [BLANK]
    depth_ends = [1]
    node = np.zeros(len(entries), np.int64)
    for depth in range(max(map(len, entries))):
        children: dict[tuple[int, int], int] = {}
        for number, codes in enumerate(entries):
            if depth < len(codes):
                key = (int(node[number]), int(codes[depth]))
                if key not in children:
                    children[key] = len(code)
                    parent.append(key[0])
                    code.append(key[1])
                node[number] = children[key]
        depth_ends.append(len(code))
    return _Tree(np.array(parent), np.array(code), np.array(depth_ends)), node
