import random
import re
from pathlib import Path

import pytest
from refusals import refused

from crnn.synth.presets import PRESETS
from crnn.synth.split import SPLITS, in_split
from crnn.synth.text.corpus import Corpus
from crnn.synth.text.generators import SOURCES
from crnn.synth.text.words import Lexicon, WordList, read_counts
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


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    """A lexicon whose words and sentences share no character."""
    folder = tmp_path_factory.mktemp("corpus")
    sentences = [
        "天地玄黄，宇宙洪荒；日月盈昃，辰宿列张。",
        "the quick “brown” fox’s jumps",
        "云腾致雨ABC 123",
    ]
    (folder / "a.txt").write_text("\n".join(sentences), "utf-8")
    counts = {"zh": [("言", 1.0)], "en": [("zzz", 1.0)]}
    return Lexicon(Alphabet.load("zh"), corpus=Corpus([folder]), counts=counts)


@pytest.mark.parametrize(
    "name", ["zh-running", "zh-window", "zh-phrase", "en-running", "en-phrase"]
)
def test_prose_is_cut_out_of_the_corpus(name: str, read: Lexicon) -> None:
    assert read.corpus is not None
    (file,) = read.corpus.files
    whole = file.read_text("utf-8")
    texts = {SOURCES[name](random.Random(seed), read) for seed in range(200)}
    assert len(texts) > 1
    assert all(text.rstrip("-") in whole for text in texts)
    if name.startswith("en"):  # at the bounds of words
        words = set(whole.splitlines()[1].split())
        assert all({*text.split()} <= words for text in texts if not text.endswith("-"))


def test_without_typographic_quotes_a_text_has_those_of_a_typewriter(read: Lexicon) -> None:
    latin = Lexicon(Alphabet.load("latin"), corpus=read.corpus)
    texts = {SOURCES["en-running"](random.Random(seed), latin) for seed in range(50)}
    assert any('"brown" fox\'s' in text for text in texts)
    assert all(map(latin.allows, texts))


def test_mixed_lines_have_chinese_and_latin_of_the_corpus(read: Lexicon) -> None:
    texts = [SOURCES["zh-mixed"](random.Random(seed), read) for seed in range(100)]
    cut = [text for text in texts if "言" not in text and text in "云腾致雨ABC 123"]
    assert len(cut) > 25
    assert all(re.search("[A-Z1-9]", text) for text in cut)


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
    with pytest.raises(CrnnError, match=r"words\.txt:1: .*'two'"):
        read_counts(path)


def test_words_outside_the_alphabet_are_left_out() -> None:
    lexicon = Lexicon(Alphabet("abcdefgh"))
    assert set("".join(lexicon.words("en").words)) <= set("abcdefgh")
    with refused():
        lexicon.words("zh")


def test_corpus_lines_are_drawn_by_length_from_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 30 + "\n" + "y" * 60 + "\r\n", "utf-8")
    (tmp_path / "b.txt").write_text("z" * 90, "utf-8")
    corpus = Corpus([tmp_path])
    rng = random.Random(3)
    lines = [corpus.line(rng, "en") for _ in range(900)]
    counts = {kind: sum(line.startswith(kind) for line in lines) for kind in "xyz"}
    assert sum(counts.values()) == 900
    assert 100 < counts["x"] < 200 < counts["y"] < counts["z"]
    assert {len(line) for line in lines} == {30, 60, 90}
    lines = [corpus.line(rng, "en", short=True) for _ in range(900)]
    assert all(
        250 < lines.count(kind * size) < 350 for kind, size in zip("xyz", (30, 60, 90), strict=True)
    )


def test_chinese_and_english_lines_are_drawn_apart(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("今天 Linux 很好\nsee 说明.txt for the rest of it\n", "utf-8")
    corpus = Corpus([tmp_path])
    rng = random.Random(3)
    assert {corpus.line(rng, "zh") for _ in range(20)} == {"今天Linux很好"}
    assert {corpus.line(rng, "en") for _ in range(20)} == {"see 说明.txt for the rest of it"}
    (tmp_path / "a.txt").write_text("只有中文\n", "utf-8")
    assert Corpus([tmp_path]).line(rng, "en") == "只有中文"


def test_a_corpus_may_begin_with_a_mark_and_have_endless_lines(tmp_path: Path) -> None:
    words = [f"w词{number:05}" for number in range(3000)]
    (tmp_path / "a.txt").write_bytes(("\ufeff一二三\n" + " ".join(words)).encode())
    corpus = Corpus([tmp_path / "a.txt"])
    rng = random.Random(4)
    lines = {corpus.line(rng, "zh") for _ in range(400)}
    assert max(map(len, lines)) < 3000
    seen = {word for line in lines for word in line.split()[1:-1]}
    assert seen <= {*words}
    assert len(seen) > 2900
    short = Corpus([tmp_path])
    assert {short.line(random.Random(seed), "zh")[:1] for seed in range(50)} <= {*"一w词0123456789"}


def test_splits_cover_all_and_share_short_words_only() -> None:
    words = [f"word{n}" for n in range(400)] + ["的", "of", "a"]
    train, held, both = ({w for w in words if in_split(w, split)} for split in SPLITS)
    assert train & held == {"的", "of", "a"}
    assert train | held == both == set(words)
    assert 30 < len(held) < 100
