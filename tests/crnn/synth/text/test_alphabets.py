import pytest

from crnn.synth.text.alphabets import ASCII, NAMES, PUNCTUATION, SIZE, build_zh, gb2312
from crnn_runtime.model.alphabet import NAMED_ALPHABETS, Alphabet


@pytest.mark.parametrize("name", NAMED_ALPHABETS)
def test_shipped_alphabets_load_without_duplicates(name: str) -> None:
    alphabet = Alphabet.load(name)
    assert alphabet.duplicates == ()
    assert Alphabet.load("".join(alphabet)) == alphabet


def test_zh_is_built_by_its_rule() -> None:
    alphabet = Alphabet.load("zh")
    assert alphabet == build_zh()
    assert len(alphabet) == SIZE
    assert {*ASCII, *PUNCTUATION, *NAMES, *gb2312(1)} <= set(alphabet)
    assert set(alphabet) <= {*ASCII, *PUNCTUATION, *NAMES, *gb2312(1), *gb2312(2)}


def test_gb2312_levels_have_the_sizes_of_the_standard() -> None:
    assert len(gb2312(1)) == 3755
    assert len(gb2312(2)) == 3008
    assert gb2312(1)[0] == "啊"
    assert gb2312(2)[-1] == "齄"


def test_latin_is_printable_ascii_with_the_space() -> None:
    assert "".join(Alphabet.load("latin")) == "".join(map(chr, range(32, 127)))
    assert "".join(Alphabet.load("digits")) == "0123456789"
