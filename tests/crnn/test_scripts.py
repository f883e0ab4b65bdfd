import pytest

from crnn.scripts import is_right_to_left, needs_shaping, to_visual


@pytest.mark.parametrize("text", ["", "abc 12", "停下来，看着", "Ёлка é ñ", "שלום (12) abc"])
def test_what_glyphs_side_by_side_show(text: str) -> None:
    assert not needs_shaping(text)


@pytest.mark.parametrize("text", ["سلام", "नमस्ते", "สวัสดี", "e\u0301", "שָׁלוֹם", "ᠮᠣᠩ", "ܫܠܡ"])
def test_what_they_do_not_show(text: str) -> None:
    assert needs_shaping(text)


def test_visual_order_is_that_of_the_line() -> None:
    assert to_visual("abc (停) 1") == "abc (停) 1"
    pytest.importorskip("bidi")
    assert is_right_to_left("a ש")
    assert to_visual("שלום") == "םולש"
    assert to_visual("(אב) 12") == "12 (בא)"
    assert to_visual("אב xy") == "xy בא"
