"""The CTC path as a heat map: time steps from left to right, the classes that matter below."""

from collections.abc import Sequence
from html import escape

import numpy as np

from crnn_runtime import Alphabet
from crnn_runtime.inspection import TimeSteps

MATTERS = 0.05
"""A class gets a row if it is a step's best, or anywhere more probable than this."""
MAX_ROWS = 40
ROW = 18
"""Height of a row in CSS pixels."""
_FAINT = 0.005  # less probable cells are not drawn
_NAMED = 4000  # cells that tell their value when pointed at; of more only colours are sent


def class_rows(pieces: Sequence[TimeSteps]) -> tuple[list[int], int]:
    """The classes to show, in the order of appearance, the blank last; how many were left out."""
    peak: dict[int, float] = {}
    for steps in pieces:
        probs = np.exp(steps.log_probs)
        matter = probs >= MATTERS
        matter[:, 0] = True
        for code, prob in zip(steps.ids[matter].tolist(), probs[matter].tolist(), strict=True):
            peak[code] = max(prob, peak.get(code, 0.0))  # the first time, it gets its place
    characters = [code for code in peak if code != 0]
    kept = set(sorted(characters, key=lambda code: -peak[code])[:MAX_ROWS])
    return [*(code for code in characters if code in kept), 0], len(characters) - len(kept)


def label(code: int, alphabet: Alphabet) -> str:
    """A class as a person reads it."""
    if code == 0:
        return "blank"
    character = alphabet.characters[code - 1]
    return "space" if character == " " else character


def heat_svg(
    pieces: Sequence[TimeSteps], rows: Sequence[int], alphabet: Alphabet, width: int
) -> str:
    """The map, as wide as its box; positions are pixels of the source image.

    Args:
        pieces: of one line; where they overlap, each is shown to the middle.
        rows: see `class_rows`.
        alphabet: of the model.
        width: of the source image in pixels.
    """
    at = {code: number for number, code in enumerate(rows)}
    named = sum(steps.ids.size for steps in pieces) <= _NAMED
    cells: list[str] = []
    seams: list[float] = []
    for number, steps in enumerate(pieces):
        left, right = -np.inf, np.inf
        if number:
            left = seams[-1]
        if number + 1 < len(pieces):
            right = (steps.x1[-1] + pieces[number + 1].x0[0]) / 2
            seams.append(float(right))
        for t in np.flatnonzero((steps.x0 >= left) & (steps.x0 < right)).tolist():
            cells += _step_cells(steps, t, at, alphabet, named)
    marks = "".join(
        f'<line class="cw-seam" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{len(rows)}"/>' for x in seams
    )
    return (
        f'<svg viewBox="0 0 {width} {len(rows)}" preserveAspectRatio="none" '
        f'style="height:{ROW * len(rows)}px" role="img" '
        f'aria-label="Probability of each class at each time step">{"".join(cells)}{marks}</svg>'
    )


def _step_cells(
    steps: TimeSteps, t: int, at: dict[int, int], alphabet: Alphabet, named: bool
) -> list[str]:
    x, wide = steps.x0[t], steps.x1[t] - steps.x0[t]
    cells = []
    for code, log_prob in zip(steps.ids[t].tolist(), steps.log_probs[t].tolist(), strict=True):
        prob = float(np.exp(log_prob))
        if code not in at or prob < _FAINT:
            continue
        kind = ' class="cw-blank"' if code == 0 else ""
        head = (
            f'<rect{kind} x="{x:.1f}" y="{at[code]}" width="{wide:.1f}" height="1" '
            f'fill-opacity="{prob:.2f}"'
        )
        if not named:
            cells.append(f"{head}/>")
            continue
        title = f"step {t}: {escape(label(code, alphabet))} {100 * prob:.1f} %"
        cells.append(f"{head}><title>{title}</title></rect>")
    return cells
