"""The digit reader, exported with heads that a search needs, on lines it may misread."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from crnn import load_model
from crnn_export.to_onnx import export_onnx
from crnn_runtime import Decoding, Line, Recognizer
from crnn_runtime.model.card import HEADS, Head
from crnn_runtime.picture.load import load_image

pytestmark = pytest.mark.slow

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits.pth"
LINES = DIGITS.parent / "lines"


def spoilt_lines() -> tuple[list[NDArray[np.uint8]], list[str]]:
    """The example lines, each with ever more noise, and what they say."""
    rng = np.random.default_rng(0)
    images, texts = [], []
    for path in sorted(LINES.glob("*.png")):
        image = load_image(path, "gray").astype(np.float64)
        for strength in range(0, 120, 15):
            noisy = image + rng.normal(0, strength, image.shape)
            images.append(noisy.clip(0, 255).astype(np.uint8))
            texts.append(path.stem)
    return images, texts


IMAGES, TEXTS = spoilt_lines()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[Head, Path]:
    folder = tmp_path_factory.mktemp("heads")
    model, card = load_model(DIGITS)
    paths: dict[Head, Path] = {}
    for head in HEADS:
        paths[head] = folder / f"{head}.onnx"
        # Eleven classes: nothing is cut off, so all heads know the same.
        export_onnx(model, card, paths[head], head=head, topk=11)
    return paths


def read(model: Path, **options: object) -> list[Line]:
    with Recognizer(model, threads=1, decoder=Decoding(**options)) as recognizer:
        return recognizer.read(IMAGES)


def right(lines: list[Line]) -> int:
    return sum(line.text == text for line, text in zip(lines, TEXTS, strict=True))


def test_heads_agree(models: dict[Head, Path]) -> None:
    greedy = [[line.text for line in read(models[head])] for head in HEADS]
    assert greedy[0] == greedy[1] == greedy[2]
    for options in (
        {"method": "beam", "nbest": 4}, {"deny": "07"}, {"lexicon": TEXTS, "nbest": 2}
    ):  # fmt: skip
        top, dense = (read(models[head], **options) for head in ("topk", "log-probs"))
        assert [line.text for line in top] == [line.text for line in dense]
        assert [line.confidence for line in top] == pytest.approx(
            [line.confidence for line in dense], abs=1e-4
        )


def test_a_search_finds_texts_at_least_as_probable(models: dict[Head, Path]) -> None:
    narrow = read(models["log-probs"], method="beam", beam_width=1)
    wide = read(models["log-probs"], method="beam", beam_width=8)
    wider = read(models["log-probs"], method="beam", beam_width=64, top_k=11)
    scores = [
        np.array([line.alternatives[0].log_prob for line in lines])
        for lines in (narrow, wide, wider)
    ]
    assert (scores[1] >= scores[0] - 1e-3).all()
    assert (scores[2] >= scores[1] - 1e-3).all()
    assert right(wide) >= right(read(models["greedy"])) - 2


def test_a_lexicon_only_gives_its_entries_and_knows_when_none_fits(
    models: dict[Head, Path],
) -> None:
    lines = read(models["log-probs"], lexicon=TEXTS)
    assert {line.text for line in lines} <= set(TEXTS)
    assert right(lines) > right(read(models["greedy"])) + 10
    sure = [n for n, line in enumerate(lines) if line.confidence > 0.5]
    assert len(sure) > 20
    assert all(lines[n].text == TEXTS[n] for n in sure)
    foreign = [text for text in TEXTS if len(text) > 4]
    lines = read(models["log-probs"], lexicon=foreign)
    assert all(
        line.confidence < 0.1
        for line, text in zip(lines, TEXTS, strict=True)
        if text not in foreign
    )


def test_denied_digits_are_not_read(models: dict[Head, Path]) -> None:
    for options in ({}, {"method": "beam"}):
        lines = read(models["topk"], deny="07", **options)
        assert not set("07") & set("".join(line.text + line.raw for line in lines))
