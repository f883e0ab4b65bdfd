"""The reading of an alphabet file that is chosen: the model's class count tells."""

from pathlib import Path

import pytest

from crnn_runtime import Alphabet, CrnnError

FLAGS = "a\nb\n🇨🇳\n"
LATIN = " \n!\na\n"  # PaddleOCR's latin_dict.txt begins so
SPINE = "blank\n一\n🇨🇳\n \n"  # both the blank and the space are there


def file(folder: Path, content: str) -> Path:
    path = folder / "dict.txt"
    path.write_bytes(content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "classes", "entries"),
    [
        ("一\n乙\n", 3, ["一", "乙"]),
        ("一\n乙\n", 4, ["一", "乙", " "]),
        ("一\r\n乙\r\n", 4, ["一", "乙", " "]),
        ("\ufeff一\n乙", 4, ["一", "乙", " "]),
        ("一\n乙\n", 5, ["一", "乙", " ", " "]),  # an editor took a last line that was a space
        (FLAGS, 4, ["a", "b", "🇨🇳"]),
        (FLAGS, 5, ["a", "b", "🇨🇳", " "]),
        (FLAGS, None, ["a", "b", "🇨🇳"]),
        (LATIN, 4, [" ", "!", "a"]),
        (LATIN, 5, [" ", "!", "a", " "]),
        (LATIN, 3, ["!", "a"]),  # this project's format: the lone space stands for the blank
        (LATIN, None, ["!", "a"]),
        (SPINE, 4, ["一", "🇨🇳", " "]),
        (SPINE, None, ["一", "🇨🇳", " "]),
        ("\u3000\n一\n", 3, ["\u3000", "一"]),
        ("ch\nc\nh\n", 4, ["ch", "c", "h"]),
        ("ch\nc\nh\n", 5, ["c", "h", "c", "h"]),
        ("ch\nc\nh\n", None, ["c", "h", "c", "h"]),
        ("0123456789", 11, list("0123456789")),
        ("0123456789", 12, list("0123456789 ")),
        ("ab\n c \n", 4, ["a", "b", "c"]),
        ("e\u0301\nn\n", None, ["e\u0301", "n"]),
        ("👍🏽\n👩‍🚀\nx\n", None, ["👍🏽", "👩‍🚀", "x"]),
    ],
)
def test_the_reading_that_fits(
    tmp_path: Path, content: str, classes: int | None, entries: list[str]
) -> None:
    assert list(Alphabet.from_file(file(tmp_path, content), classes)) == entries


@pytest.mark.parametrize("content", [FLAGS, LATIN, "一\n乙\n", "0123456789"])
def test_a_dictionary_of_another_model_is_refused_with_both_counts(
    tmp_path: Path, content: str
) -> None:
    path = file(tmp_path, content)
    with pytest.raises(CrnnError) as caught:
        Alphabet.from_file(path, 6625)
    message = str(caught.value)
    made = len(Alphabet.from_file(path)) + 1
    assert "6,625" in message
    assert str(made) in message
    assert "\n" not in message


def test_what_was_taken_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "crnn_runtime.model"):
        Alphabet.from_file(file(tmp_path, "a\nb\n"))
        assert not caplog.messages  # nothing to choose
        Alphabet.from_file(file(tmp_path, FLAGS))
        Alphabet.from_file(file(tmp_path, FLAGS), 5)
    assert len(caplog.messages) == 2
