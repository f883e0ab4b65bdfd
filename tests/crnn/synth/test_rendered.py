"""Pages that Chromium draws, with the boxes of their lines."""

import json
import os
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from crnn.cli.synth import main
from crnn.data.annotations import read_annotations
from crnn.synth.fonts.faces import FontSet, load_faces
from crnn.synth.rendered import browser as browser_module
from crnn.synth.rendered.browser import open_browser
from crnn.synth.rendered.dataset import Line, cut, draw_page, render
from crnn.synth.rendered.pages import LINES, Page, Pages
from crnn.synth.text.words import Lexicon
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

LATIN = Alphabet.load("latin")

needs_browser = pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    reason="no Chromium",
)


@pytest.fixture
def pages(fonts: list[str]) -> Pages:
    faces = load_faces(Path(font) for font in fonts if Path(font).is_file())
    return Pages(Lexicon(counts={"zh": [("的", 1)], "en": [("word", 1)]}), FontSet(faces))


def test_pages_repeat_and_differ(pages: Pages) -> None:
    several = [pages.page(random.Random(seed)) for seed in range(30)]
    assert several == [pages.page(random.Random(seed)) for seed in range(30)]
    assert len({page.html for page in several}) == 30
    assert len({page.scale for page in several}) >= 3


HTML = """<body style="margin: 0; font: 20px/40px monospace; width: 230px">
<p style="margin: 0">one <b>two</b> three<br>&lt;four&gt;</p><div>five
six</div><span style="display: inline-block; color: white">gone</span></body>"""


@needs_browser
def test_lines_have_their_text_and_the_box_of_their_ink(monkeypatch: pytest.MonkeyPatch) -> None:
    class Given:
        def page(self, rng: random.Random) -> Page:
            return Page(HTML, 400, 2.0)

    given: Any = Given()
    with open_browser() as browser:
        picture, lines = draw_page(browser, given, random.Random(0))
        again, found = browser.draw(HTML, LINES, width=400, scale=2.0)
    assert [line.text for line in lines] == ["one two three", "<four>", "five six"]
    assert len(found) == 4  # the white one has no ink
    assert picture.shape[1] == 800
    assert np.array_equal(picture, again)
    dark = picture.min(2) < 128
    for place, line in enumerate(lines):
        x0, y0, x1, y1 = line.box
        assert 80 * place <= y0 < y1 <= 80 * place + 80
        rows = dark[80 * place : 80 * place + 80]
        columns = np.flatnonzero(rows.any(0))
        assert abs(columns[0] - x0) <= 1
        assert abs(columns[-1] + 1 - x1) <= 1
        assert not dark[80 * place : y0].any()
        assert not dark[y1 : 80 * place + 80].any()


@needs_browser
def test_a_data_set_of_pages_is_written_whole(tmp_path: Path, pages: Pages) -> None:
    out = tmp_path / "D"
    found = render(pages, Alphabet.load("zh"), out, count=20, seed=0, dev_share=0.5)
    listed = {part: read_annotations(out / f"{part}.tsv", Alphabet.load("zh")) for part in found
              if (out / f"{part}.tsv").exists()}  # fmt: skip
    assert sum(len(part.images) for part in listed.values()) == found["train"] + found["dev"] >= 20
    assert all((out / image).is_file() for part in listed.values() for image in part.images)
    drawn = json.loads((out / "pages.json").read_text("utf-8"))
    assert len(drawn) == found["pages"]
    for page in drawn:
        height, width, _ = cv2.imread(str(out / page["file"])).shape
        assert (page["width"], page["height"]) == (width, height)
        assert all(
            x1 <= width and y1 <= height for line in page["lines"] for _, _, x1, y1 in [line["box"]]
        )
    with pytest.raises(CrnnError):
        render(pages, LATIN, out, count=1, seed=0, dev_share=0)


def test_lines_are_cut_out_close_and_those_of_other_alphabets_left_out() -> None:
    picture = np.full((100, 300, 3), 255, np.uint8)
    picture[40:60, 50:200] = 0
    lines = [
        Line((50, 40, 200, 60), "text"),
        Line((50, 40, 200, 60), "的"),
        Line((0, 40, 299, 44), "x"),
    ]
    for seed in range(20):
        ((line, crop),) = cut(picture, lines, LATIN, random.Random(seed))
        assert line.text == "text"
        assert 20 <= len(crop) <= 34
        assert 150 <= crop.shape[1] <= 164
        assert (crop == 0).any()


@pytest.mark.parametrize(
    "arguments",
    [("--preset", "digits", "--out", "D"), ("--format", "lmdb", "--out", "D"), ()],
)
def test_an_option_without_effect_is_refused(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["--rendered", *arguments])
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1


def test_without_a_browser_an_error_says_so(
    tmp_path: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_module.shutil, "which", lambda name: None)
    with pytest.raises(CrnnError, match="make system"):
        render(pages, LATIN, tmp_path / "D", count=1, seed=0, dev_share=0)


@needs_browser
def test_a_browser_that_ends_is_an_error() -> None:
    with open_browser() as browser:
        with pytest.raises(CrnnError):
            browser.draw("<p>x", "no such thing(", width=100, scale=1)
        assert browser.draw("<p>x", "1 + 1", width=100, scale=1)[1] == 2
        os.kill(browser.process, signal.SIGKILL)
        with pytest.raises(CrnnError):
            browser.draw("<p>x", "1", width=100, scale=1)
