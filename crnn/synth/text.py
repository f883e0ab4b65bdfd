"""Where the text of the lines comes from."""

import random
import string
from collections.abc import Callable

TextSource = Callable[[random.Random], str]
"""Draws the text of one line; never empty, no white space at the ends."""


def digit_string(rng: random.Random, low: int = 1, high: int = 14) -> str:
    """``low`` to ``high`` digits."""
    return "".join(rng.choices(string.digits, k=rng.randint(low, high)))


def code(rng: random.Random) -> str:
    """An identifier of capitals, digits and dashes, such as ``AX-2034/B``."""
    parts = [
        "".join(rng.choices(string.ascii_uppercase + string.digits, k=rng.randint(1, 6)))
        for _ in range(rng.randint(1, 3))
    ]
    return rng.choice("-/ _.#:").join(parts)


def ascii_words(rng: random.Random) -> str:
    """Random letters, capitals, digits and punctuation in groups, as words are."""
    words = []
    for _ in range(rng.randint(1, 5)):
        kind = rng.random()
        length = rng.randint(1, 9)
        if kind < 0.6:
            word = "".join(rng.choices(string.ascii_lowercase, k=length))
            word = word.capitalize() if rng.random() < 0.3 else word
            word = word.upper() if rng.random() < 0.15 else word
        elif kind < 0.75:
            word = digit_string(rng, 1, 6)
        elif kind < 0.9:
            word = code(rng)
        else:
            word = "".join(rng.choices(string.punctuation, k=rng.randint(1, 2)))
        if rng.random() < 0.15:
            word += rng.choice(string.punctuation)
        words.append(word)
    return " ".join(" ".join(words).split())
