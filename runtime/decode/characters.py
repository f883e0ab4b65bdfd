"""Restricts the characters that may be read."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.errors import CrnnError
from crnn_runtime.files import read_text
from crnn_runtime.model.alphabet import Alphabet

logger = logging.getLogger(__name__)


def permitted_classes(
    alphabet: Alphabet, allow: Sequence[str] | None, deny: Sequence[str]
) -> NDArray[np.bool_]:
    """Allowed (None: all) and denied characters → (C,), with the blank always permitted.

    A denied character that the model cannot read anyway is only warned of.

    Args:
        alphabet: of the model.
        allow: a text, or several, each cut into the alphabet's entries.
        deny: the same.

    Raises:
        CrnnError: an allowed character is not in the alphabet, or none is left.
    """
    denied = _entries(alphabet, deny)
    allowed = alphabet.characters if allow is None else _entries(alphabet, allow)
    if unknown := [entry for entry in allowed if entry not in alphabet.codes]:
        raise CrnnError(
            f"allowed characters that the model cannot read: {_shown(unknown)}: "
            "take them out of the list"
        )
    if unknown := [entry for entry in denied if entry not in alphabet.codes]:
        logger.warning("denied characters that the model cannot read: %s", _shown(unknown))
    left = set(allowed) - set(denied)
    if not left:
        raise CrnnError("no character may be read: allow some that are not denied")
    return np.array([True, *(entry in left for entry in alphabet.characters)])


def _entries(alphabet: Alphabet, texts: Sequence[str]) -> list[str]:
    """Each once, in order."""
    given = (texts,) if isinstance(texts, str) else texts
    return list(dict.fromkeys(entry for text in given for entry in alphabet.split(text)))


def _shown(characters: list[str]) -> str:
    more = " …" if len(characters) > 10 else ""
    return " ".join(map(repr, characters[:10])) + more


def read_characters(text_or_file: str) -> str | tuple[str, ...]:
    """Characters as given on a command line: themselves, or ``@file`` for those in a file.

    In a file, line breaks and a byte-order mark do not count; its lines stay apart, so
    that an entry of several code points can be told from its parts.

    Raises:
        CrnnError: the file cannot be read.
    """
    if len(text_or_file) < 2 or not text_or_file.startswith("@"):
        return text_or_file
    text = read_text(text_or_file[1:], "character list")
    return tuple(filter(None, text.replace("\r", "").split("\n")))
