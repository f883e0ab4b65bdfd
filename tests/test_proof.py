"""The whole path on lines that the reader has never seen: train, export, read."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from crnn.checkpoints import load_model
from crnn.recipes import load_recipe
from crnn.synth import Synthesizer
from crnn_export.to_onnx import export_onnx
from crnn_runtime import ModelCard, Recognizer
from crnn_runtime.decode.greedy import decode_greedy
from crnn_runtime.picture.preprocess import prepare

FRESH_SEED = 1_000_003
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader of digits, trained from nothing by the shipped recipe."""
    folder = tmp_path_factory.mktemp("digits")
    subprocess.run(
        [BIN / "crnn-train", "--recipe", "digits", "--directory", folder],
        check=True,
    )
    return folder / "best.pth"


@pytest.fixture(scope="module")
def lines() -> list[tuple[np.ndarray, str]]:
    """200 different fresh lines, 30 to 600 pixels wide at height 32.

    Each is the line whose natural width is nearest; the widest are stretched a little.
    """
    synthesizer = fresh_digits()
    samples = [synthesizer.line(i) for i in range(1000, 3000)]
    ratios = np.array([s.image.shape[1] / s.image.shape[0] for s in samples])
    result = []
    for width in np.linspace(600, 30, 200).round().astype(int):
        nearest = int(np.abs(ratios - width / 32).argmin())
        ratios[nearest] = np.inf  # each once
        result.append((cv2.resize(samples[nearest].image, (int(width), 32)), samples[nearest].text))
    return result


def fresh_digits() -> Synthesizer:
    """Lines of the recipe's kind that training has not drawn."""
    return Synthesizer("digits", seed=FRESH_SEED, **load_recipe("digits")["synth_options"])


def torch_text(model: torch.nn.Module, card: ModelCard, image: np.ndarray) -> str:
    pixels, steps = prepare(image, card)
    with torch.inference_mode():
        log_probs = model(torch.from_numpy(pixels)).numpy()
    ids = log_probs.argmax(2)
    steps = np.array([min(steps, ids.shape[1])])
    return decode_greedy(ids, log_probs.max(2), steps, card.alphabet)[0]


@pytest.mark.slow
def test_a_reader_trained_from_nothing_reads_95_percent(checkpoint: Path) -> None:
    model, card = load_model(checkpoint)
    synthesizer = fresh_digits()
    samples = [synthesizer.line(i) for i in range(1000)]
    right = sum(torch_text(model, card, s.image) == s.text for s in samples)
    print(f"{right / 10:.1f} % of 1,000 fresh lines exactly right")  # noqa: T201
    assert {len(s.text) for s in samples} == set(range(1, 15))
    assert right >= 950
    assert load_recipe("digits")["max_minutes"] <= 4  # the run ends by itself


@pytest.mark.slow
def test_the_exported_reader_reads_what_pytorch_reads(
    checkpoint: Path, lines: list[tuple[np.ndarray, str]], tmp_path: Path
) -> None:
    model, card = load_model(checkpoint)
    onnx = tmp_path / "digits.onnx"
    export_onnx(model, card, onnx, checkpoint=checkpoint)
    expected = [torch_text(model, card, image) for image, _ in lines]
    assert sum(text == truth for text, (_, truth) in zip(expected, lines, strict=True)) >= 150

    folder = tmp_path / "lines"
    folder.mkdir()
    for i, (image, _) in enumerate(lines):
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        folder.joinpath(f"{i:03d}.png").write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
    for batch_size in ("1", "32"):
        output = subprocess.run(
            [BIN / "crnn-infer", "--json", "--batch-size", batch_size, onnx, folder],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert [json.loads(line)["text"] for line in output.splitlines()] == expected

    recognizer = Recognizer(onnx)
    alone = [recognizer.read([image])[0] for image, _ in lines]
    together = recognizer.read([image for image, _ in lines])
    assert [line.text for line in alone] == expected
    assert [line.text for line in together] == expected
    confidences = np.array(
        [[a.confidence, b.confidence] for a, b in zip(alone, together, strict=True)]
    )
    assert np.abs(confidences[:, 0] - confidences[:, 1]).max() < 1e-4
