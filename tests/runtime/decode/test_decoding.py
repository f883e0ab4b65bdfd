"""Decoders on lattices whose readings are known, and through `Recognizer`."""

from pathlib import Path

import numpy as np
import pytest
from barcode import STEP, STRIDE, barcode_card, draw_barcode, write_barcode_reader
from hypothesis import given, settings
from hypothesis import strategies as st
from lattices import alphabet_of, random_log_probs
from numpy.typing import NDArray
from refusals import refused

from crnn_runtime import Alphabet, Decoding, ImageError, Recognizer
from crnn_runtime.decode.decoding import SearchDecoder, open_decoder
from crnn_runtime.decode.greedy import GreedyDecoder
from crnn_runtime.decode.ngram import build_ngrams
from crnn_runtime.decode.reading import Decoder, Reading
from crnn_runtime.model.card import HEADS


def card_of(alphabet: Alphabet) -> object:
    return barcode_card(alphabet=alphabet, head="log-probs")


def searching(alphabet: Alphabet, **options: object) -> Decoder:
    return open_decoder(Decoding(method="beam", **options), card_of(alphabet))


def text_of(reading: Reading, alphabet: Alphabet) -> str:
    return alphabet.decode(reading.codes.tolist())


def heads_of(log_probs: NDArray[np.float64], k: int) -> list[dict[str, NDArray[np.generic]]]:
    """The outputs of a log-probs and of a topk head."""
    ids = np.argsort(-log_probs, axis=2)[:, :, :k]
    top = np.take_along_axis(log_probs, ids, axis=2)
    return [
        {"log_probs": log_probs.astype(np.float32)},
        {"topk_ids": ids.astype(np.int32), "topk_log_probs": top.astype(np.float32)},
    ]


def assert_equal_readings(one: list[Reading], other: list[Reading]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.codes.tolist() == b.codes.tolist()
        assert a.first.tolist() == b.first.tolist()
        assert a.last.tolist() == b.last.tolist()
        assert a.path.tolist() == b.path.tolist()
        assert a.confidences == pytest.approx(b.confidences, rel=1e-5)
        assert a.confidence == pytest.approx(b.confidence, rel=1e-5)
        assert [x.text for x in a.alternatives] == [x.text for x in b.alternatives]
        scores = [[x.score for x in reading.alternatives] for reading in (a, b)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([1.0, 4.0, 20.0]))
def test_both_heads_and_any_batch_read_the_same(seed: int, lines: int, sharpness: float) -> None:
    alphabet = alphabet_of(12)
    log_probs = random_log_probs(seed, (lines, 25, 12), sharpness)
    steps = np.random.default_rng(seed).integers(1, 26, lines)
    decoder = searching(alphabet, beam_width=4, top_k=5, nbest=4)
    dense, top = (decoder.decode(outputs, steps) for outputs in heads_of(log_probs, 5))
    assert_equal_readings(dense, top)
    outputs = heads_of(log_probs, 5)[0]
    for n in range(lines):
        alone = decoder.decode({"log_probs": outputs["log_probs"][n : n + 1]}, steps[n : n + 1])
        assert_equal_readings(alone, dense[n : n + 1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 8]))
def test_of_a_certain_path_every_decoder_makes_the_same(seed: int, width: int) -> None:
    alphabet = alphabet_of(6)
    rng = np.random.default_rng(seed)
    path = rng.integers(0, 6, (3, 20))
    probs = np.full((3, 20, 6), 1e-5)
    np.put_along_axis(probs, path[:, :, None], 1 - 1e-4 * rng.random((3, 20, 1)), axis=2)
    outputs = {"log_probs": np.log(probs)}
    steps = rng.integers(1, 21, 3)
    greedy = GreedyDecoder(alphabet).decode(outputs, steps)
    beam = searching(alphabet, beam_width=width).decode(outputs, steps)
    for a, b in zip(greedy, beam, strict=True):
        assert a.codes.tolist() == b.codes.tolist()
        assert a.first.tolist() == b.first.tolist()
        assert a.last.tolist() == b.last.tolist()
        assert a.confidences == pytest.approx(b.confidences, rel=1e-6)
        assert a.confidence == pytest.approx(b.confidence, rel=0.01)
        assert a.path.tolist() == b.path.tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.data())
def test_nothing_denied_is_ever_read(seed: int, data: st.DataObject) -> None:
    alphabet = alphabet_of(8)
    log_probs = random_log_probs(seed, (2, 15, 8), 3.0)
    denied = data.draw(st.sets(st.sampled_from(alphabet.characters), max_size=6))
    options = data.draw(st.sampled_from([{}, {"method": "beam"}, {"lexicon": ["abc", "gh", "g"]}]))
    if "lexicon" in options:
        denied -= {"g", "h"}
    decoder = open_decoder(Decoding(deny="".join(denied), **options), card_of(alphabet))
    for outputs in heads_of(log_probs, data.draw(st.integers(1, 8))):
        for reading in decoder.decode(outputs, np.array([15, 7])):
            codes = [*reading.codes.tolist(), *filter(None, reading.path.tolist())]
            assert not denied & set(alphabet.decode(codes))
            assert 0 <= reading.confidence <= 1
            assert (reading.first <= reading.last).all()
            assert (reading.first[1:] > reading.last[:-1]).all()


def test_denying_reads_the_next_best_with_its_own_confidence() -> None:
    alphabet = Alphabet("O0")
    outputs = {"log_probs": np.log(np.array([[[0.05, 0.7, 0.25]]]))}
    for method in ("greedy", "beam"):
        decoder = open_decoder(Decoding(method=method, deny="O"), card_of(alphabet))
        (reading,) = decoder.decode(outputs, np.array([1]))
        assert text_of(reading, alphabet) == "0"
        assert reading.confidence == pytest.approx(0.25)


def noisy_words(words: list[str], alphabet: Alphabet, seed: int) -> dict[str, NDArray[np.floating]]:
    """Each character two steps, a blank after it; some characters look like another one."""
    rng = np.random.default_rng(seed)
    length = 3 * max(map(len, words))
    scores = np.full((len(words), length, alphabet.num_classes), 1e-3)
    scores[:, :, 0] = 1e-2
    for n, word in enumerate(words):
        for i, code in enumerate(alphabet.encode(word)):
            other = int(rng.integers(1, alphabet.num_classes))
            doubt = rng.random() < 0.25
            scores[n, 3 * i : 3 * i + 2, code] = 0.45 if doubt else 1
            scores[n, 3 * i : 3 * i + 2, other] += 0.55 if doubt else 0
            scores[n, 3 * i + 2, 0] = 1
        scores[n, 3 * len(word) :, 0] = 1
    return {"log_probs": np.log(scores / scores.sum(axis=2, keepdims=True))}


WORDS = ["one two three", "three one two", "two one three", "two three one", "one three two"]


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_language_model_corrects_what_it_knows(tmp_path: Path, weight: float) -> None:
    alphabet = Alphabet("abcdefghijklmnopqrstuvwxyz ")
    path = tmp_path / "numbers.arpa"
    path.write_text(build_ngrams(WORDS, 4), encoding="utf-8")
    outputs = noisy_words(WORDS * 8, alphabet, seed=0)
    steps = np.array([3 * len(word) for word in WORDS * 8])
    decoder = searching(alphabet, lm=path, lm_weight=weight)
    readings = decoder.decode(outputs, steps)
    right = [text_of(r, alphabet) == w for r, w in zip(readings, WORDS * 8, strict=True)]
    if weight:
        assert sum(right) >= 38  # of 40
    else:
        assert sum(right) <= 10
    for reading in readings:
        (best,) = reading.alternatives
        assert (best.score < best.log_prob) == (weight > 0)


def test_a_lexicon_gives_the_best_entry_and_its_true_confidence() -> None:
    alphabet = Alphabet("abc")
    outputs = noisy_words(["abc", "cab"], alphabet, seed=1)
    decoder = searching(alphabet, lexicon=["ab", "abc", "bbb"], nbest=3)
    inside, outside = decoder.decode(outputs, np.array([9, 9]))
    assert text_of(inside, alphabet) == "abc"
    assert inside.confidence > 0.4
    # Its characters are plain to see, but so is the c that the entry leaves out.
    assert text_of(outside, alphabet) == "ab"
    assert outside.confidences.min() > 0.9
    assert outside.confidence < 0.01
    scores = [a.score for a in outside.alternatives]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_a_line_too_short_for_every_entry_reads_as_nothing() -> None:
    decoder = searching(alphabet_of(4), lexicon=["abc"])
    (reading,) = decoder.decode({"log_probs": random_log_probs(0, (1, 2, 4))}, np.array([2]))
    assert (len(reading.codes), reading.confidence, reading.alternatives) == (0, 0.0, ())


def test_a_character_under_two_codes_is_one_alternative() -> None:
    alphabet = Alphabet("aa")
    outputs = {"log_probs": np.log(np.array([[[0.2, 0.5, 0.3]]]))}
    (reading,) = searching(alphabet, nbest=3).decode(outputs, np.array([1]))
    assert [a.text for a in reading.alternatives] == ["a", ""]


@pytest.mark.parametrize(("options", "name"), [
    ({"method": "viterbi"}, "viterbi"),
    ({"beam_width": 0}, "beam_width"),
    ({"nbest": 9}, "nbest"),
    ({"method": "greedy", "nbest": 2}, "nbest"),
    ({"method": "greedy", "lexicon": ["a"]}, "lexicon"),
    ({"length_bonus": 1.0}, "length_bonus"),
    ({"lm": "x.arpa", "lm_weight": float("nan")}, "lm_weight"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict[str, object], name: str) -> None:
    with refused(name):
        Decoding(**options)


@pytest.mark.parametrize("options", [
    {"method": "beam"}, {"nbest": 2}, {"allow": "0"}, {"deny": "0"}, {"lexicon": ["0"]}
])  # fmt: skip
def test_a_greedy_head_is_refused(options: dict[str, object]) -> None:
    with refused("topk", "log-probs"):
        open_decoder(Decoding(**options), barcode_card(head="greedy"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        head: write_barcode_reader(folder / f"{head}.onnx", barcode_card(head=head, max_width=320))
        for head in HEADS
    }


@pytest.mark.parametrize("head", ["topk", "log-probs"])
def test_positions_of_a_search_are_those_of_the_best_path(
    models: dict[str, Path], head: str
) -> None:
    images = [draw_barcode("52"), draw_barcode("0011223"), draw_barcode("")]
    expected = Recognizer(models["greedy"], threads=1).read(images)
    decoder = Decoding(method="beam", beam_width=3, nbest=2)
    lines = Recognizer(models[head], threads=1, decoder=decoder).read(images)
    for line, known in zip(lines, expected, strict=True):
        assert line.text == known.text
        assert line.raw == known.raw
        best = line.alternatives[0]
        assert line.confidence == pytest.approx(np.exp(best.log_prob / max(1, len(line.text))))
        assert line.confidence == pytest.approx(known.confidence, abs=0.01)
        assert [c.confidence for c in line.chars] == pytest.approx(
            [c.confidence for c in known.chars]
        )
        assert [(c.char, c.x0, c.x1) for c in line.chars] == [
            (c.char, c.x0, c.x1) for c in known.chars
        ]
        assert line.alternatives[0].text == line.text
        assert known.alternatives == ()


def draw_wide(text: str) -> NDArray[np.uint8]:
    levels = [255]
    for character in text:
        levels += [255 - STEP * (1 + int(character)), *[255] * 3]
    return np.tile(np.repeat(np.array(levels, np.uint8), STRIDE), (32, 1))


def test_long_lines_are_searched_piece_by_piece(models: dict[str, Path]) -> None:
    text = "31415926535897932384"
    beam = Recognizer(models["topk"], threads=1, decoder=Decoding(method="beam"))
    (line,) = beam.read([draw_wide(text)])
    assert line.pieces > 1
    assert line.text == text
    assert line.alternatives == ()


def test_a_lexicon_takes_no_pieces_of_lines(models: dict[str, Path]) -> None:
    decoder = Decoding(lexicon=["314", "159"])
    recognizer = Recognizer(models["log-probs"], threads=1, decoder=decoder)
    short, long = recognizer.read([draw_wide("315"), draw_wide("31" * 20)], errors="return")
    assert short.text == "314"
    assert long.error
    with refused("lexicon", kind=ImageError):
        recognizer.read([draw_wide("31" * 20)])


def test_the_search_decoder_is_what_options_ask_for() -> None:
    card = barcode_card(head="topk")
    assert isinstance(open_decoder(Decoding(), card), GreedyDecoder)
    assert isinstance(open_decoder(Decoding(deny="1"), card), GreedyDecoder)
    assert isinstance(open_decoder(Decoding(nbest=2), card), SearchDecoder)
