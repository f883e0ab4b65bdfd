"""The tab for whole pages: its HTML, its event, and how it looks in a real browser."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from refusals import refused

pytest.importorskip("gradio", reason="the extra web is not installed")

from tiny_detector import draw_page, write_bar_reader, write_detector
from web_server import Served, served

from crnn_runtime import Char, Line
from crnn_runtime.page.page import Page, PageLine
from crnn_serve.web.events import Settings
from crnn_serve.web.readers import Readers
from crnn_serve.web.whole_page import LineFinder, WholePage, page_html

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TEXTS = {(40, 30): "3141", (40, 90): "592", (370, 92): "65"}
pytestmark = pytest.mark.xdist_group("web-page")  # one server for all


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bar_reader(folder / "bars.onnx")
    write_detector(folder / "det.onnx")
    cv2.imwrite(str(folder / "page.png"), draw_page(TEXTS))
    return folder


@pytest.fixture
def tab(models: Path, tmp_path: Path) -> Iterator[WholePage]:
    readers = Readers([str(models / "bars.onnx")], threads=1)
    with closing(readers), closing(LineFinder(str(models / "det.onnx"), threads=1)) as finder:
        yield WholePage(readers, Settings(uploads=tmp_path), finder)


def read(tab: WholePage, path: Path) -> str:
    return tab.read({"path": str(path), "orig_name": path.name}, "bars", {})


def put(tmp_path: Path, image: Any) -> Path:  # noqa: ANN401
    path = tmp_path / "given.png"
    cv2.imwrite(str(path), image)
    return path


def test_every_line_has_a_box_and_its_text_in_reading_order(tab: WholePage, tmp_path: Path) -> None:
    html = read(tab, put(tmp_path, draw_page(TEXTS)))
    items = re.findall(r'<li class="cw-l(\d+)"[^>]*>(.*?)</li>', html)
    texts = [re.sub("<[^>]*>", "", text) for _, text in items]
    assert texts == ["3141", "592", "65"]
    boxes = re.findall(r'<polygon class="cw-l(\d+)" points="([^"]*)"', html)
    assert [number for number, _ in boxes] == [number for number, _ in items]
    corners = np.array([point.split(",") for point in boxes[0][1].split()], float)
    assert corners.min(0) == pytest.approx((40, 30), abs=5)
    assert 'viewBox="0 0 600 400"' in html


def test_bad_pages_are_sentences(tab: WholePage, tmp_path: Path) -> None:
    blank = read(tab, put(tmp_path, np.full((200, 300, 3), 255, np.uint8)))
    assert "cw-note" in blank
    assert "<li" not in blank
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)
    assert "cw-error" not in read(tab, put(tmp_path, noise))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    assert "cw-error" in read(tab, broken)
    assert "cw-error" in read(tab, tmp_path / "gone.png")
    assert "cw-hint" in tab.read(None, "bars", {})
    outside = tmp_path.parent / "outside.png"
    cv2.imwrite(str(outside), draw_page(TEXTS))
    assert "cw-error" in read(tab, outside), "a file of the machine that was not uploaded"


def test_what_a_page_says_is_no_markup() -> None:
    line = Line("<b>&", 1.0, "<b>&", tuple(Char(each, 0.5, 0, 9) for each in "<b>&"))
    corners = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.float32)
    html = page_html(Page(20, 20, (PageLine(line, corners, 1.0),)), np.zeros((20, 20, 3), np.uint8))
    assert "<b>" not in html
    assert html.count("&lt;") == 2


def test_a_detector_that_cannot_be_used(models: Path, tmp_path: Path) -> None:
    with refused("bars.onnx"):
        LineFinder(str(models / "bars.onnx")).get()
    readers = Readers([str(models / "bars.onnx")], threads=1)
    with closing(readers):
        tab = WholePage(readers, Settings(uploads=tmp_path), LineFinder("nowhere.onnx"))
        assert "nowhere.onnx" in read(tab, put(tmp_path, draw_page(TEXTS)))


@pytest.fixture(scope="module")
def pages_server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    asked = tmp_path_factory.mktemp("web") / "asked"
    given = ["--reader", str(models / "bars.onnx"), "--detector", str(models / "det.onnx")]
    with served(asked, *given) as server:
        yield server
    assert not asked.exists() or asked.read_text() == "", "the server looked for other machines"


def test_in_a_browser(browser: "Browser", pages_server: Served, models: Path) -> None:
    """Boxes lie over what they say, a text lights up its box, and a phone shows it all."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(pages_server.address)
    page.get_by_role("tab", name="A page").click()
    page.set_input_files("#cw-page-image input[type=file]", models / "page.png")
    card = page.locator(".cw-page")
    card.wait_for()
    assert card.locator("li").all_inner_texts() == ["3141", "592", "65"]
    sheet, box = (card.locator(each).bounding_box() for each in ("img", "polygon.cw-l0"))
    assert sheet
    assert box
    scale = sheet["width"] / 600
    assert box["x"] - sheet["x"] == pytest.approx(40 * scale, abs=8 * scale)
    assert box["y"] - sheet["y"] == pytest.approx(30 * scale, abs=8 * scale)
    opacity = "element => getComputedStyle(element).fillOpacity"
    assert float(card.locator("polygon.cw-l1").evaluate(opacity)) < 0.2
    card.locator("li.cw-l1").hover()
    assert float(card.locator("polygon.cw-l1").evaluate(opacity)) > 0.3
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    page.close()
