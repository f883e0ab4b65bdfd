"""Allowed and denied characters."""

import logging
from pathlib import Path

import pytest
from refusals import refused

from crnn_runtime import Alphabet
from crnn_runtime.decode.characters import permitted_classes, read_characters

ALPHABET = Alphabet("abca")


def test_every_code_of_a_character_follows_it() -> None:
    assert permitted_classes(ALPHABET, None, "a").tolist() == [True, False, True, True, False]
    assert permitted_classes(ALPHABET, "a", "").tolist() == [True, True, False, False, True]
    assert permitted_classes(ALPHABET, "ab", "b").tolist() == [True, True, False, False, True]


def test_entries_of_several_code_points_are_allowed_and_denied_as_a_whole() -> None:
    alphabet = Alphabet(["c", "h", "ch", "🇨🇳"])
    assert permitted_classes(alphabet, "ch🇨🇳", "").tolist() == [True, False, False, True, True]
    assert permitted_classes(alphabet, ["c", "h"], "").tolist() == [True, True, True, False, False]
    assert permitted_classes(alphabet, None, ["ch"]).tolist() == [True, True, True, False, True]


def test_mistakes_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with refused("x", "y"):
        permitted_classes(ALPHABET, "axy", "")
    with refused():
        permitted_classes(ALPHABET, "a", "a")
    with refused():
        permitted_classes(ALPHABET, "", "")
    with caplog.at_level(logging.WARNING):
        permitted_classes(ALPHABET, None, "x")
    assert "'x'" in caplog.text


def test_characters_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "chars.txt"
    path.write_bytes("\ufeffab\r\n é\n".encode())
    assert read_characters(f"@{path}") == ("ab", " é")
    assert read_characters("@") == "@"
    assert read_characters("ab@") == "ab@"
    with refused(tmp_path / "none"):
        read_characters(f"@{tmp_path / 'none'}")
