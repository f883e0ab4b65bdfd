import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from crnn_runtime import Alphabet, CrnnError

characters = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\t"), min_size=1, max_size=40
)


entries_ = characters | st.lists(characters, min_size=1, max_size=10)


@given(entries_, st.data())
def test_decode_undoes_encode(entries: str | list[str], data: st.DataObject) -> None:
    alphabet = Alphabet(entries)
    text = "".join(data.draw(st.lists(st.sampled_from(entries))))
    if alphabet.unknown(text):  # the longest entry was taken where only a shorter one leads on
        return
    codes = alphabet.encode(text)
    assert alphabet.decode(codes) == text
    assert all(1 <= code < alphabet.num_classes for code in codes)


@settings(max_examples=100)
@given(entries_)
def test_a_saved_alphabet_is_read_back(entries: str | list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "alphabet.txt"
        path.write_bytes(Alphabet(entries).to_text().encode())
        assert Alphabet.from_file(path) == Alphabet(entries)


@pytest.mark.parametrize(
    ("content", "entries"),
    [
        (b"a\nb\nc\n", "abc"),
        (b"abc", "abc"),
        (b"ab\n c \n", "abc"),
        (b"\xef\xbb\xbfa\r\nb\r\n", "ab"),  # BOM and CRLF
        (b"blank\na\nb\n", "ab"),
        (b"\xef\xbb\xbfblank\r\na\r\n", "a"),
        (b" \na\nb\n", "ab"),  # a lone space for the blank, as in the 5,990-line file
        (b"a\n \nb\n", "a b"),  # later it is the space character
        ("你\n\u2028\n好\n".encode(), "你\u2028好"),  # not a line break to us
    ],
)
def test_files_as_people_write_them(tmp_path: Path, content: bytes, entries: str) -> None:
    path = tmp_path / "alphabet.txt"
    path.write_bytes(content)
    assert Alphabet.from_file(path) == Alphabet(entries)
    assert Alphabet.load(str(path)) == Alphabet(entries)


def test_the_longest_entry_that_fits_is_taken() -> None:
    alphabet = Alphabet(["a", "🇨🇳", "ab", "🇨", "abc", " "])
    assert alphabet.encode("abcab a🇨🇳🇨") == [5, 3, 6, 1, 2, 4]
    assert alphabet.split("abx🇨🇳") == ["ab", "x", "🇨🇳"]
    assert alphabet.unknown("abxx🇳") == ["x", "🇳"]


def test_the_first_of_duplicates_encodes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "alphabet.txt"
    path.write_text("1\na\n1\nb\n")
    with caplog.at_level(logging.WARNING):
        alphabet = Alphabet.from_file(path)
    assert str(path) in caplog.text
    assert alphabet.num_classes == 5  # both codes stay: the classifier has them
    assert alphabet.encode("1b") == [1, 4]
    assert alphabet.decode([3]) == "1"


def test_duplicates_in_a_string_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Alphabet.load("0123456788")
    assert "0123456788" in caplog.text


def test_a_space_is_a_character() -> None:
    alphabet = Alphabet("a b")
    assert alphabet.decode(alphabet.encode("b a")) == "b a"


def test_the_hash_tells_order_and_entries() -> None:
    hashes = {Alphabet(entries).sha256 for entries in ("ab", "ba", "abc", ["ab"])}
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Alphabet(""), "empty"),
        (lambda: Alphabet(["a", ""]), "1"),
        (lambda: Alphabet("ab").encode("axb?"), r"'x' '\?' in 'axb\?'"),
        (lambda: Alphabet("ab").decode([3]), r"3 .*1\.\.2"),
        (lambda: Alphabet("ab").decode([0]), "0"),
        (lambda: Alphabet.load("missing.txt"), r"missing\.txt"),
        (lambda: Alphabet.from_file("missing"), "missing"),
        (lambda: Alphabet(["a\nb"]).to_text(), r"a\\nb"),
    ],
)
def test_mistakes_are_named(make: object, message: str) -> None:
    with pytest.raises(CrnnError, match=message):
        make()


def test_files_that_are_no_alphabet(tmp_path: Path) -> None:
    path = tmp_path / "alphabet.txt"
    path.write_bytes("你好".encode("gb18030"))
    with pytest.raises(CrnnError, match=r"UTF-8"):
        Alphabet.from_file(path)
    path.write_bytes(b"blank\n\n")
    with refused(path):
        Alphabet.from_file(path)
