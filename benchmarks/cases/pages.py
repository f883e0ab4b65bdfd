"""Whole pages, by turns: this project and RapidOCR with the same models and threads.

    crnn-bench pages --peer ENVIRONMENT/bin/python

Pages are synthetic, so what stands on them and where is known. `crnn-bench peers --prepare`
makes RapidOCR's environment.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from crnn.metrics import normalize
from crnn.synth.page import PageSample, PageSynthesizer
from crnn_benchmarks.harness.child import Child
from crnn_benchmarks.harness.machine import commit, this_machine
from crnn_benchmarks.peers import RUNNER
from crnn_runtime import Recognizer
from crnn_runtime.console import Command
from crnn_runtime.page.crops import crop
from crnn_runtime.readers.detectors import find_detector

Found = list[tuple[NDArray[np.float32], str]]
"""Polygon and text of each line."""
SAME = 0.5
"""Intersection over union from which a line is found."""


@click.command(cls=Command)
@click.option("--peer", help="Python of an environment with RapidOCR; without it, ours alone.")
@click.option("--detector", help="Name or file.  [default: the first installed]")
@click.option("--reader", default="zh", show_default=True, help="Name or file, of ours.")
@click.option("--card", type=click.Path(), help="Card of the reader, if it has none inside.")
@click.option("--peer-reader", help="ONNX file for RapidOCR.  [default: the reader's]")
@click.option("--dictionary", help="Dictionary of RapidOCR's reader, if it has none inside.")
@click.option("--side", type=int, default=1280, show_default=True, help="See crnn-infer.")
@click.option("--threads", type=int, default=2, show_default=True, help="CPU threads.")
@click.option("--pages", type=int, default=20, show_default=True, help="Number of pages.")
@click.option("--seed", type=int, default=2026, show_default=True, help="Seed of the pages.")
@click.option("--turns", type=int, default=3, show_default=True, help="Turns of each reader.")
def main(
    peer: str | None, detector: str | None, reader: str, card: str | None,
    peer_reader: str | None, dictionary: str | None, side: int, threads: int, pages: int,
    seed: int, turns: int,
) -> None:  # fmt: skip
    """Read synthetic pages and print the speed and the accuracy."""
    machine = this_machine()
    click.echo(f"{machine.cpu}, {machine.cpus} CPUs, load {machine.load:.1f}, commit {commit()}")
    shared = {"detector": str(find_detector(detector)), "threads": threads, "side": side}
    ours = {**shared, "reader": reader, "card": card}
    theirs = {**shared, "reader": peer_reader or reader, "dictionary": dictionary}
    contenders = {"crnn": (sys.executable, "pages_crnn", ours)}
    if peer:
        for name, classifier in (("rapidocr", True), ("rapidocr, no classifier", False)):
            contenders[name] = (peer, "pages_rapidocr", {**theirs, "classifier": classifier})
    synthesizer = PageSynthesizer(seed)
    truth = [synthesizer.page(number) for number in range(pages)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            _write(page, Path(folder) / f"{number:04}.png") for number, page in enumerate(truth)
        ]
        answers = _by_turns(contenders, paths, turns)
    lines = sum(len(page.lines) for page in truth)
    click.echo(f"{pages} pages, {lines} lines, side {side}, {threads} threads, {turns} turns")
    for name, rounds in answers.items():
        pages_read = map(json.loads, rounds[0]["texts"])
        found = [[(np.array(corners, np.float32), said) for corners, said in p] for p in pages_read]
        scores = score(truth, found)
        rate = median(pages / each["seconds"] for each in rounds)
        cpu = median(each["cpu"] / pages for each in rounds)
        click.echo(f"{name:24} {rate:6.2f} pages/s  {cpu:5.2f} CPU s a page  " + _percent(scores))
    click.echo(f"{'crnn, true rectangles':24} " + _percent(score(truth, _read_truth(truth, ours))))


def _read_truth(truth: Sequence[PageSample], options: dict[str, Any]) -> list[Found]:
    """Reads the lines where they are known to be, with our reader: no detector is better."""
    with Recognizer(
        options["reader"], threads=options["threads"], card=options["card"]
    ) as recognizer:
        crops = (crop(page.image, line.polygon) for page in truth for line in page.lines)
        texts = iter([line.text.strip() for line in recognizer.stream(crops)])
    return [[(line.polygon, next(texts)) for line in page.lines] for page in truth]


def _percent(scores: dict[str, float]) -> str:
    return "  ".join(f"{key} {value:.2%}" for key, value in scores.items())


def score(truth: Sequence[PageSample], found: Sequence[Found]) -> dict[str, float]:
    """Precision, recall and F of lines found; of those, the share read exactly.

    ``normalised`` is that share after `crnn.metrics.normalize`: spaces, full and half width,
    and case do not count.
    """
    given = sum(map(len, found))
    wanted = sum(len(page.lines) for page in truth)
    hits = exact = alike = 0
    for page, lines in zip(truth, found, strict=True):
        left = list(range(len(lines)))
        for line in page.lines:
            near = [(overlap(line.polygon, lines[index][0]), index) for index in left]
            best, index = max(near, default=(0.0, -1))
            if best < SAME:
                continue
            left.remove(index)
            hits += 1
            exact += lines[index][1] == line.text
            alike += normalize(lines[index][1]) == normalize(line.text)
    precision, recall = hits / max(1, given), hits / max(1, wanted)
    return {
        "precision": precision,
        "recall": recall,
        "F": 2 * precision * recall / max(1e-9, precision + recall),
        "exact": exact / max(1, hits),
        "normalised": alike / max(1, hits),
    }


def overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Intersection over union of two convex polygons (4, 2)."""
    shared = cv2.intersectConvexConvex(one, other)[0]
    return shared / max(1e-9, cv2.contourArea(one) + cv2.contourArea(other) - shared)


def _by_turns(
    contenders: dict[str, tuple[str, str, dict[str, Any]]], paths: Sequence[str], turns: int
) -> dict[str, list[dict[str, Any]]]:
    """Each contender in a process of its own reads all pages, one after the other, in turns."""
    children = {
        name: Child([python, str(RUNNER), module, json.dumps(options)])
        for name, (python, module, options) in contenders.items()
    }
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in children}
    try:
        for child in children.values():
            child.ask("open")
            child.ask("together", paths=list(paths[:1]))  # warm: the first page allocates
        for turn in range(turns):
            names = list(children) if turn % 2 == 0 else list(children)[::-1]
            for name in names:
                answers[name].append(children[name].ask("together", paths=list(paths)))
    finally:
        for child in children.values():
            child.close()
    return answers


def _write(page: PageSample, path: Path) -> str:
    cv2.imwrite(str(path), cv2.cvtColor(page.image, cv2.COLOR_RGB2BGR))
    return str(path)
