"""A fixed split of names, words and texts into training and held-out ones."""

import hashlib
from typing import Literal

Split = Literal["train", "heldout", "all"]
SPLITS: tuple[Split, ...] = ("train", "heldout", "all")

_SHARE = 0.15
_SHORT = 3


def held_out(name: str) -> bool:
    """True for the fixed share of names (font families, words) that ``heldout`` keeps."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < _SHARE * 2**64


def in_split(word: str, split: Split) -> bool:
    """True if ``split`` may use ``word``.

    Words so short that no text can do without them (one Chinese character, up to
    three others) belong to both sides.
    """
    if split == "all" or len(word) == 1 or (word.isascii() and len(word) <= _SHORT):
        return True
    return held_out(word) == (split == "heldout")
