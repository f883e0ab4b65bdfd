"""Lines that belong together come to the same side of the split."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crnn_serve.label.split import for_validation, pages_of


def test_pages_are_told_from_mere_numbers() -> None:
    names = ["line_01.png", "line_02.png"]
    assert pages_of(names) == {name: name for name in names}
    found = pages_of(["a/bill_1.png", "a/bill_2.png", "a/note_1.png", "a/x.png"])
    assert found["a/bill_1.png"] == found["a/bill_2.png"]
    assert len(set(found.values())) == 3
    found = pages_of(["scan-07_line1.png", "scan-07_line2.png", "b/03.png", "b/04.png", "05.png"])
    assert len(set(found.values())) == 3
    assert found["b/03.png"] == found["b/04.png"]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.integers(0, 200).map(lambda n: f"p{n // 5}_{n % 5}.png"), st.sampled_from("abcdefghij"),
        min_size=2, max_size=40,
    ),
    st.floats(0.05, 0.6),
)  # fmt: skip
def test_pages_and_equal_texts_are_on_one_side(texts: dict[str, str], share: float) -> None:
    pages = pages_of(list(texts))
    kept = for_validation(texts, pages, share)
    rest = set(texts) - kept
    assert rest
    assert not {pages[path] for path in kept} & {pages[path] for path in rest}
    assert not {texts[path] for path in kept} & {texts[path] for path in rest}


def test_some_are_kept_as_soon_as_it_is_possible() -> None:
    texts = {"a1_1.png": "x", "a1_2.png": "y"}
    pages = pages_of(list(texts))
    assert for_validation(texts, pages, 0.1) == set()
    texts["b1_1.png"] = "z"
    pages = pages_of(list(texts))
    assert for_validation(texts, pages, 0.1) == {"b1_1.png"}


def test_the_share_is_kept_and_further_lines_move_none() -> None:
    texts = {f"p{n}_1.png": f"text {n}" for n in range(2000)}
    pages = pages_of(list(texts))
    kept = for_validation(texts, pages, 0.2)
    assert 320 < len(kept) < 480
    half = {path: text for path, text in texts.items() if len(path) % 2}
    moved = for_validation(half, pages, 0.2) ^ {path for path in kept if path in half}
    assert len(moved) <= 2  # the largest group is for training, and all are equally large here
