"""Measures the cost of decoding a line: prefix beam search, language model, lexicon, best path.

    crnn-bench decode
    crnn-bench decode --steps 35 --width 8 --top-k 8 --rounds 30

The lines are made up: 60 % of their steps are blanks, and the classes' scores are
such that about a quarter of the steps are sure blanks and the second best class of
the others counts, as the digit reader gives them on its own test lines. Every round
runs every variant once, by turns; given are the medians over the rounds of the
processor time of one line, with the quartiles, and ratios taken within each round.

``dictionaries`` is the same search written with Python's dictionaries, the way it is
usually shown, for comparison: one line after the other, nothing skipped.
"""

import json
import math
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from crnn_runtime.console import Command
from crnn_runtime.decode.decoding import Decoding, open_decoder
from crnn_runtime.decode.lattice import Outputs
from crnn_runtime.decode.ngram import build_ngrams
from crnn_runtime.files import write_atomically
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard

CLASSES = 5990
LETTERS = 26


def made_up_lines(lines: int, steps: int, classes: int, seed: int) -> NDArray[np.float32]:
    """Log-probabilities (N, T, C)."""
    rng = np.random.default_rng(seed)
    # Logits as spread as with ten classes, however many there are.
    scores = rng.normal(0, 2, (lines, steps, classes)) - math.log(classes / 11)
    truth = np.where(rng.random((lines, steps)) < 0.6, 0, rng.integers(1, classes, (lines, steps)))
    sureness = rng.gamma(4, 3, (lines, steps, 1))
    np.put_along_axis(scores, truth[:, :, None], 3 + sureness, axis=2)
    scores -= np.log(np.exp(scores).sum(axis=2, keepdims=True))
    return scores.astype(np.float32)


def top_k_head(log_probs: NDArray[np.float32], k: int) -> Outputs:
    """Returns the outputs that a ``topk`` head would give."""
    ids = np.argsort(-log_probs, axis=2)[:, :, :k]
    return {
        "topk_ids": ids.astype(np.int32),
        "topk_log_probs": np.take_along_axis(log_probs, ids, axis=2),
    }


def with_dictionaries(outputs: Outputs, width: int) -> list[tuple[int, ...]]:
    """Prefix beam search as it is usually written (Hannun et al. 2014, algorithm 1)."""
    texts: list[tuple[int, ...]] = []
    for ids, probs in zip(outputs["topk_ids"], np.exp(outputs["topk_log_probs"]), strict=True):
        beams: list[tuple[tuple[int, ...], tuple[float, float]]] = [((), (1.0, 0.0))]
        for classes, chances in zip(ids.tolist(), probs.tolist(), strict=True):
            grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
            for prefix, (ended, open_) in beams:
                last = prefix[-1] if prefix else 0
                for code, chance in zip(classes, chances, strict=True):
                    if code == 0:
                        grown[prefix][0] += (ended + open_) * chance
                    elif code == last:
                        grown[prefix][1] += open_ * chance
                        grown[(*prefix, code)][1] += ended * chance
                    else:
                        grown[(*prefix, code)][1] += (ended + open_) * chance
            best = sorted(grown.items(), key=lambda item: -sum(item[1]))[:width]
            beams = [(prefix, (ended, open_)) for prefix, (ended, open_) in best]
        texts.append(beams[0][0])
    return texts


def variants(
    steps: int, width: int, top_k: int, folder: Path
) -> dict[str, tuple[int, Callable[[], object]]]:
    """Name → lines, and what decodes them."""
    han = Alphabet(chr(0x4E00 + n) for n in range(CLASSES - 1))
    latin = Alphabet("abcdefghijklmnopqrstuvwxyz")
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(latin.characters, rng.integers(3, 12))) for _ in range(10_000)]
    model = folder / "words.arpa"
    model.write_text(build_ngrams(words, 5), encoding="utf-8")
    beam = Decoding(method="beam", beam_width=width, top_k=top_k)
    fused = Decoding(beam_width=width, top_k=top_k, lm=model)
    found: dict[str, tuple[int, Callable[[], object]]] = {}

    def add(name: str, alphabet: Alphabet, options: Decoding, outputs: Outputs) -> None:
        head = "topk" if "topk_ids" in outputs else "log-probs"
        card = ModelCard(arch="none", alphabet=alphabet, time_stride=8, head=head)  # type: ignore[arg-type]
        decoder = open_decoder(options, card)
        lines = len(next(iter(outputs.values())))
        found[name] = lines, lambda: decoder.decode(outputs, np.full(lines, steps))

    for lines in (1, 16, 64):
        log_probs = made_up_lines(lines, steps, CLASSES, seed=1)
        add(f"beam, topk head, batch {lines}", han, beam, top_k_head(log_probs, top_k))
    log_probs = made_up_lines(16, steps, CLASSES, seed=1)
    top = top_k_head(log_probs, top_k)
    add("best path, topk head, batch 16", han, Decoding(), top)
    add("beam, log-probs head, batch 16", han, beam, {"log_probs": log_probs})
    found["dictionaries, topk head"] = 16, lambda: with_dictionaries(top, width)
    letters = made_up_lines(16, steps, LETTERS + 1, seed=1)
    add("beam, 27 classes, batch 16", latin, beam, {"log_probs": letters})
    add("beam with 5-gram, 27 classes, batch 16", latin, fused, {"log_probs": letters})
    add(
        "10,000 words, 27 classes, batch 16", latin, Decoding(lexicon=words), {"log_probs": letters}
    )
    return found


def measure(
    todo: dict[str, tuple[int, Callable[[], object]]], rounds: int
) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of processor time per line, one value a round."""
    times: dict[str, list[float]] = {name: [] for name in todo}
    for number in range(rounds + 1):
        for name, (lines, run) in todo.items():
            start = time.process_time()
            run()
            spent = time.process_time() - start
            if number:  # the first round warms up
                times[name].append(spent / lines * 1e3)
    return {name: np.array(values) for name, values in times.items()}


def quartiles(values: NDArray[np.float64]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return [round(float(value), 4) for value in np.quantile(values, (0.25, 0.5, 0.75))]


@click.command(cls=Command)
@click.option("--steps", type=click.IntRange(min=1), default=35, show_default=True)
@click.option("--width", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--top-k", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--rounds", type=click.IntRange(min=3), default=20, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures.")
def main(steps: int, width: int, top_k: int, rounds: int, json_path: Path | None) -> None:
    """Measure what decoding costs a line."""
    with tempfile.TemporaryDirectory() as folder:
        times = measure(variants(steps, width, top_k, Path(folder)), rounds)
    reference = times["beam, topk head, batch 16"]
    click.echo(f"T = {steps}, width {width}, top-k {top_k}, {platform.machine()}, {rounds} rounds")
    click.echo("processor time of a line in ms: median (quartiles); ratio to beam at batch 16")
    figures = {}
    for name, values in times.items():
        low, middle, high = quartiles(values)
        ratio = quartiles(values / reference)
        figures[name] = {"ms": [low, middle, high], "ratio": ratio}
        click.echo(
            f"{name:42} {middle:8.3f} ({low:.3f} to {high:.3f})   "
            f"{ratio[1]:6.2f} ({ratio[0]:.2f} to {ratio[2]:.2f})"
        )
    if json_path:
        content = json.dumps({"steps": steps, "width": width, "top_k": top_k, "figures": figures})
        write_atomically(json_path, lambda part: part.write_text(content))
