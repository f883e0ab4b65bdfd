"""Which characters may be read."""

import logging

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import CrnnError
from crnn_runtime.files import read_text
from crnn_runtime.model.alphabet import Alphabet

logger = logging.getLogger(__name__)


def permitted_classes(alphabet: Alphabet, allow: str | None, deny: str) -> NDArray[np.bool_]:
    """Allowed (None: all) and denied characters → (C,), with the blank always permitted.

    A denied character that the model cannot read anyway is only warned of.

    Raises:
        CrnnError: an allowed character is not in the alphabet, or none is left.
    """
    if allow is not None and (unknown := alphabet.unknown(allow)):
        raise CrnnError(
            f"allowed characters that the model cannot read: {_shown(unknown)}: "
            "take them out of the list"
        )
    if unknown := alphabet.unknown(deny):
        logger.warning("denied characters that the model cannot read: %s", _shown(unknown))
    allowed = set(alphabet.characters if allow is None else allow) - set(deny)
    if not allowed:
        raise CrnnError("no character may be read: allow some that are not denied")
    return np.array([True, *(character in allowed for character in alphabet.characters)])


def _shown(characters: list[str]) -> str:
    more = " …" if len(characters) > 10 else ""
    return " ".join(map(repr, characters[:10])) + more


def read_characters(text_or_file: str) -> str:
    """Characters as given on a command line: themselves, or ``@file`` for those in a file.

    In a file, line breaks and a byte-order mark do not count.

    Raises:
        CrnnError: the file cannot be read.
    """
    if len(text_or_file) < 2 or not text_or_file.startswith("@"):
        return text_or_file
    text = read_text(text_or_file[1:], "character list")
    return text.replace("\r", "").replace("\n", "")
