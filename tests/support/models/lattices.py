"""Small CTC lattices, and what they say by adding up every path there is."""

from itertools import groupby, product

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from crnn_runtime.decode.lattice import Lattice, to_lattice
from crnn_runtime.model.alphabet import Alphabet

Text = tuple[int, ...]


def random_log_probs(
    seed: int, shape: tuple[int, int, int], sharpness: float = 2.0
) -> NDArray[np.float64]:
    """(N, T, C), normalised."""
    scores = np.random.default_rng(seed).normal(size=shape) * sharpness
    return scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))


def every_text(log_probs: NDArray[np.float64]) -> dict[Text, float]:
    """(T, C) → logarithm of each text's probability, the sum over its paths."""
    texts: dict[Text, float] = {}
    length, classes = log_probs.shape
    for path in product(range(classes), repeat=length):
        text = tuple(code for code, _ in groupby(path) if code)
        score = sum(log_probs[t, code] for t, code in enumerate(path))
        texts[text] = np.logaddexp(texts.get(text, -np.inf), score)
    return texts


def alphabet_of(classes: int) -> Alphabet:
    """Letters for all classes but the blank."""
    return Alphabet(chr(ord("a") + code) for code in range(classes - 1))


def dense_lattice(
    log_probs: NDArray[np.float64],
    steps: list[int] | None = None,
    *,
    top_k: int | None = None,
) -> Lattice:
    """The lattice of a log-probs head."""
    lengths = np.array(steps or [log_probs.shape[1]] * len(log_probs))
    alphabet = alphabet_of(log_probs.shape[2])
    return to_lattice({"log_probs": log_probs}, lengths, alphabet=alphabet, top_k=top_k)


@st.composite
def small_batches(draw: st.DrawFn) -> tuple[NDArray[np.float64], list[int]]:
    """Log-probabilities (N, T, C) and the steps of each line."""
    lines, length, classes = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 5)),
        draw(st.integers(2, 4)),
    )
    sharpness = draw(st.sampled_from([0.0, 0.5, 2.0, 8.0, 60.0]))
    log_probs = random_log_probs(draw(st.integers(0, 10**6)), (lines, length, classes), sharpness)
    steps = draw(st.lists(st.integers(1, length), min_size=lines, max_size=lines))
    return log_probs, steps
