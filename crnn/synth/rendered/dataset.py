"""A data set of rendered pages: lines to train on, and pages with the boxes of their lines."""

import dataclasses
import functools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crnn.scripts import is_right_to_left
from crnn.synth.rendered.browser import Browser, open_browser
from crnn.synth.rendered.pages import LINES, Pages
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.alphabet import Alphabet

Image = npt.NDArray[np.uint8]

_LEAST_HEIGHT, _LEAST_CONTRAST = 6, 40
_LONGEST = 40.0  # width over height of a line
_TALLEST = 64  # pixels of height that are kept of a line


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a page: x0, y0, x1, y1 of its ink in pixels, and what it reads."""

    box: tuple[int, int, int, int]
    text: str


def render(
    pages: Pages,
    alphabet: Alphabet,
    out: Path,
    *,
    count: int,
    seed: int,
    dev_share: float,
    tell: Callable[[int], object] = lambda lines: None,
) -> dict[str, int]:
    """Draw pages until ``count`` lines are cut out of them.

    ``out`` gets ``images/``, ``train.tsv`` and ``dev.tsv`` (path, tab, text), ``pages/``
    and ``pages.json`` (of every page file, width, height and lines with box and text);
    the lists last, so that a folder with lists is whole. Whole pages validate.
    ``tell`` hears how many lines each page has given.

    Returns:
        Name of each list → its number of entries.

    Raises:
        CrnnError: ``out`` is not empty or not writable, or there is no browser.
    """
    _prepare(out)
    listed: dict[str, list[str]] = {"train": [], "dev": []}
    drawn: list[dict[str, Any]] = []
    with open_browser() as browser:
        for number in range(count):  # more pages than lines there never are
            rng = random.Random(f"rendered/{seed}/{number}")
            picture, lines = draw_page(browser, pages, rng)
            name = f"pages/{number:06}.png"
            _save(out / name, picture)
            drawn.append(_entry(name, picture, lines))
            part = "dev" if rng.random() < dev_share else "train"
            cuts = list(cut(picture, lines, alphabet, rng))
            for place, (line, crop) in enumerate(cuts):
                image = f"images/{number:06}-{place:03}.png"
                _save(out / image, crop)
                listed[part].append(f"{image}\t{line.text}\n")
            tell(len(cuts))
            if sum(map(len, listed.values())) >= count:
                break
    for part, rows in listed.items():
        if rows or part == "train":
            _write(out / f"{part}.tsv", "".join(rows))
    _write(out / "alphabet.txt", alphabet.to_text())
    _write(out / "pages.json", json.dumps(drawn, ensure_ascii=False, indent=1))
    return {**{part: len(rows) for part, rows in listed.items()}, "pages": len(drawn)}


def draw_page(browser: Browser, pages: Pages, rng: random.Random) -> tuple[Image, list[Line]]:
    """A page and its lines that have ink, in reading order of its blocks."""
    page = pages.page(rng)
    picture, found = browser.draw(page.html, LINES, width=page.width, scale=page.scale)
    lines = []
    for *corners, text in found:
        box = _ink(picture, [corner * page.scale for corner in corners])
        if box is not None and text.strip():
            lines.append(Line(box, " ".join(text.split())))
    return picture, lines


def _ink(picture: Image, corners: list[float]) -> tuple[int, int, int, int] | None:
    """The box of what differs from the ground within ``corners``; None if nothing does."""
    height, width = picture.shape[:2]
    left, top = (max(0, round(corner)) for corner in corners[:2])
    right, bottom = min(width, round(corners[2])), min(height, round(corners[3]))
    if right - left < 1 or bottom - top < _LEAST_HEIGHT:
        return None
    part = picture[top:bottom, left:right].astype(np.int32)
    colours, counts = np.unique(part @ (1 << 16, 1 << 8, 1), return_counts=True)
    paper = int(colours[counts.argmax()])
    away = np.abs(part - (paper >> 16, paper >> 8 & 255, paper & 255))
    ink = away.max(2) > _LEAST_CONTRAST
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if not len(rows):
        return None
    x0, y0, x1, y1 = (int(place) for place in (columns[0], rows[0], columns[-1], rows[-1]))
    return left + x0, top + y0, left + x1 + 1, top + y1 + 1


def cut(
    picture: Image, lines: list[Line], alphabet: Alphabet, rng: random.Random
) -> Iterator[tuple[Line, Image]]:
    """The lines that the alphabet has, cut out as detectors do: tight, or with some space."""
    height, width = picture.shape[:2]
    for line in lines:
        x0, y0, x1, y1 = line.box
        tall = y1 - y0
        if not alphabet.has(line.text) or (x1 - x0) > _LONGEST * tall or tall < _LEAST_HEIGHT:
            continue
        if is_right_to_left(line.text):  # its label would not be in the order of the picture
            continue
        most = 0.35 if rng.random() < 0.2 else 0.14  # a far edge shows the lines above and below
        above, below, left, right = (round(rng.uniform(-0.02, most) * tall) for _ in range(4))
        crop = picture[
            max(0, y0 - above) : min(height, y1 + below), max(0, x0 - left) : min(width, x1 + right)
        ]
        if len(crop) > _TALLEST:
            size = max(1, round(crop.shape[1] * _TALLEST / len(crop))), _TALLEST
            crop = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield line, crop


def _entry(name: str, picture: Image, lines: list[Line]) -> dict[str, Any]:
    height, width = picture.shape[:2]
    boxes = [{"box": line.box, "text": line.text} for line in lines]
    return {"file": name, "width": width, "height": height, "lines": boxes}


def _prepare(out: Path) -> None:
    try:
        if out.exists() and any(out.iterdir()):
            raise CrnnError(f"{out} is not empty: give another --out")
        for name in ("images", "pages"):
            (out / name).mkdir(parents=True)
    except OSError as error:
        raise CrnnError(f"cannot write {out}: {error.strerror or error}") from error


def _save(path: Path, picture: Image) -> None:
    _, coded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    try:
        path.write_bytes(coded.tobytes())
    except OSError as error:
        raise CrnnError(f"cannot write {path}: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    write_atomically(path, functools.partial(Path.write_bytes, data=text.encode()))
