import random
import re
from pathlib import Path

import pytest

from crnn.synth.presets import PRESETS
from crnn.synth.split import SPLITS, in_split
from crnn.synth.text import SOURCES
from crnn.synth.words import Corpus, Lexicon, WordList, read_counts
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(Alphabet.load("zh"))


@pytest.mark.parametrize("name", SOURCES)
def test_texts_repeat_with_the_random_source_and_stay_in_the_alphabet(
    name: str, lexicon: Lexicon
) -> None:
    texts = [SOURCES[name](random.Random(seed), lexicon) for seed in range(200)]
    assert texts == [SOURCES[name](random.Random(seed), lexicon) for seed in range(200)]
    assert len(set(texts)) > (5 if name in ("digits", "zh-word") else 50)
    assert all(texts)
    assert sum(map(lexicon.allows, texts)) >= 196


def test_every_preset_names_sources_that_exist() -> None:
    for preset in PRESETS.values():
        assert preset.text.keys() <= SOURCES.keys()
    used = {name for preset in PRESETS.values() for name in preset.text}
    assert used == SOURCES.keys()


def test_plates_have_the_form_of_plates(lexicon: Lexicon) -> None:
    rng = random.Random(5)
    plates = [SOURCES["plate"](rng, lexicon) for _ in range(300)]
    assert all(re.fullmatch(r"[一-龥][A-HJ-NP-Z][A-HJ-NP-Z0-9]{5,6}", plate) for plate in plates)
    assert {len(plate) for plate in plates} == {7, 8}


def test_words_come_by_frequency() -> None:
    words = WordList([("often", 90.0), ("seldom", 10.0), ("never", 0.0)])
    rng = random.Random(2)
    drawn = [words.draw(rng) for _ in range(2000)]
    assert 1600 < drawn.count("often") < 1850
    assert "never" not in drawn


def test_word_lists_may_have_counts(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\ufeff的 50\n\nNew York\t2\nplain\n", "utf-8")
    assert read_counts(path) == [("的", 50.0), ("New York", 2.0), ("plain", 1.0)]
    path.write_text("one two\n", "utf-8")
    with pytest.raises(CrnnError, match=r"words\.txt:1: the count 'two'"):
        read_counts(path)


def test_words_outside_the_alphabet_are_left_out() -> None:
    lexicon = Lexicon(Alphabet("abcdefgh"))
    assert set("".join(lexicon.words("en").words)) <= set("abcdefgh")
    with pytest.raises(CrnnError, match="word list is empty"):
        lexicon.words("zh")


def test_corpus_lines_are_drawn_by_length_from_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 30 + "\n" + "y" * 60 + "\r\n", "utf-8")
    (tmp_path / "b.txt").write_text("汉" * 30, "utf-8")
    corpus = Corpus([tmp_path])
    rng = random.Random(3)
    lines = [corpus.line(rng) for _ in range(900)]
    counts = {kind: sum(line.startswith(kind) for line in lines) for kind in "xy汉"}
    assert sum(counts.values()) == 900
    assert 100 < counts["x"] < 200 < counts["y"] < counts["汉"]
    assert {len(line) for line in lines} == {30, 60}


def test_a_corpus_may_begin_with_a_mark_and_have_endless_lines(tmp_path: Path) -> None:
    words = [f"词{number:05}" for number in range(3000)]
    (tmp_path / "a.txt").write_bytes(("\ufeff一二三\n" + " ".join(words)).encode())
    corpus = Corpus([tmp_path / "a.txt"])
    rng = random.Random(4)
    lines = {corpus.line(rng) for _ in range(400)}
    assert max(map(len, lines)) < 3000
    seen = {word for line in lines for word in line.split()[1:-1]}
    assert seen <= {*words}
    assert len(seen) > 2900
    short = Corpus([tmp_path])
    assert {short.line(random.Random(seed))[:1] for seed in range(50)} <= {*"一词0123456789"}


def test_splits_cover_all_and_share_short_words_only() -> None:
    words = [f"word{n}" for n in range(400)] + ["的", "of", "a"]
    train, held, both = ({w for w in words if in_split(w, split)} for split in SPLITS)
    assert train & held == {"的", "of", "a"}
    assert train | held == both == set(words)
    assert 30 < len(held) < 100
