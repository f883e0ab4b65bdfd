"""The page in a real browser."""

import base64
import csv
import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from barcode import barcode_card, write_barcode_reader

pytest.importorskip("gradio", reason="the extra web is not installed")
httpx = pytest.importorskip("httpx", reason="the extra web is not installed")

from web_server import LARGEST, Served, many_lines  # noqa: E402 (needs what is asked for above)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LINES = Path(__file__).parents[3] / "examples" / "lines"
TABLE_OVERFLOW = """(() => {
    const box = document.querySelector(".cw-batch .cw-scroll");
    return box.scrollWidth - box.clientWidth;
})()"""
DROP = """data => {
    const given = new DataTransfer();
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    given.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
    const place = document.querySelector("#cw-image [aria-dropeffect]");
    for (const kind of ["dragenter", "dragover", "drop"])
        place.dispatchEvent(new DragEvent(kind, {bubbles: true, dataTransfer: given}));
}"""
COPY = """async data => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    const picture = new Blob([bytes], {type: "image/png"});
    await navigator.clipboard.write([new ClipboardItem({"image/png": picture})]);
}"""
pytestmark = pytest.mark.xdist_group("web")  # one server for all


@pytest.fixture
def page(browser: "Browser", server: Served) -> "Iterator[Page]":
    """The page, opened; nothing may be asked of other hosts or go wrong in it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_default_timeout(20_000)
    page.goto(server.address)
    page.wait_for_selector("#cw-result .cw-hint")
    yield page
    hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    page.close()
    assert hosts == {"127.0.0.1"}
    assert wrong == []


def _give(page: "Page", picture: Path) -> None:
    page.set_input_files("#cw-image input[type=file]", picture)


def _archive(path: Path) -> Path:
    """A zip file of the sample lines, and of what is none."""
    with zipfile.ZipFile(path, "w") as file:
        for line in sorted(LINES.glob("*.png")):
            file.write(line, line.name)
        file.writestr("broken.png", b"nothing")
    return path


def _give_many(page: "Page", archive: Path) -> None:
    page.set_input_files("#cw-files input[type=file]", archive)
    page.locator("#cw-files").get_by_text(archive.stem[:5]).first.wait_for()


def _downloaded(page: "Page") -> str:
    """The table."""
    link = page.locator("#cw-table a").first
    link.wait_for()
    with page.expect_download() as download:
        link.click()
    return Path(download.value.path()).read_text("utf-8-sig")


def _overflow(page: "Page") -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def test_a_line_is_read_and_shown(page: "Page") -> None:
    _give(page, LINES / "9580510029.png")
    card = page.locator(".cw-card")
    card.wait_for()
    assert card.locator(".cw-text").inner_text() == "9580510029"
    assert card.locator(".cw-picture i").count() == 10
    assert card.locator(".cw-heat rect").count() >= 26  # a cell for each step at least
    assert card.locator(".cw-nbest tr").count() == 5
    assert card.locator(".cw-times li").count() == 5
    box, picture = (
        card.locator(selector).first.bounding_box() for selector in (".cw-picture i", "img")
    )
    assert box
    assert picture
    assert picture["x"] < box["x"] < picture["x"] + picture["width"] / 10


def _coded(name: str) -> str:
    return base64.b64encode((LINES / name).read_bytes()).decode()


def test_a_picture_is_dropped_or_pasted(page: "Page") -> None:
    page.wait_for_selector("#cw-image [aria-dropeffect]")
    page.evaluate(DROP, _coded("3698.png"))
    page.locator(".cw-text", has_text="3698").wait_for()
    page.reload()
    page.wait_for_selector("#cw-result .cw-hint")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(COPY, _coded("92.png"))
    page.get_by_label("Paste from clipboard").click()
    page.locator(".cw-text", has_text="92").wait_for()


def test_a_file_that_is_too_large_is_refused(page: "Page", server: Served, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(LARGEST * 10**6 + 1))
    _give(page, large)
    page.get_by_text("exceed the maximum allowed size").wait_for()
    with pytest.raises(httpx.HTTPStatusError) as caught:  # nor when the page did not ask
        server.upload(large)
    assert caught.value.response.status_code == 413


def test_two_readers_side_by_side(page: "Page") -> None:
    _give(page, LINES / "3698.png")
    page.locator(".cw-card").wait_for()
    page.get_by_label("Compare with").click()
    page.get_by_role("option", name="bars", exact=True).click()
    page.locator(".cw-card >> nth=1").wait_for()
    cards = page.locator(".cw-card")
    assert cards.nth(0).get_attribute("data-reader") == "digits"
    assert cards.nth(0).locator(".cw-text").inner_text() == "3698"
    assert cards.nth(1).get_attribute("data-reader") == "bars"
    assert "head greedy" in cards.nth(1).inner_text()
    assert "They differ" in page.locator("#cw-result").inner_text()
    assert _overflow(page) <= 0


def test_an_example_is_read_when_clicked(page: "Page") -> None:
    page.locator("#cw-examples button").first.click()
    page.locator(".cw-card").wait_for()
    assert page.locator(".cw-text").inner_text() == "9580510029"


def test_examples_are_shown_whole(page: "Page") -> None:
    fits = "images => images.map(image => getComputedStyle(image).objectFit)"
    page.locator("#cw-examples img").first.wait_for()
    assert set(page.locator("#cw-examples img").evaluate_all(fits)) == {"contain"}


def test_garbage_is_a_sentence(page: "Page", tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.png"
    garbage.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    _give(page, garbage)
    said = page.locator("#cw-result .cw-error")
    said.wait_for()
    assert said.inner_text().startswith("Image ")
    assert "Traceback" not in page.content()
    assert page.locator(".cw-card").count() == 0


def test_a_model_file_is_taken_or_refused_in_a_sentence(page: "Page", tmp_path: Path) -> None:
    page.get_by_text("Another model file").click()
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    page.set_input_files("#cw-model input[type=file]", bad)
    said = page.locator("#cw-said .cw-error")
    said.wait_for()
    assert "bad.onnx" in said.inner_text()
    assert "/gradio" not in said.inner_text()
    good = write_barcode_reader(tmp_path / "mine.onnx", barcode_card(head="log-probs"))
    page.fill("#cw-path textarea, #cw-path input", str(good))
    page.click("#cw-open")
    page.locator("#cw-said .cw-note").wait_for()
    assert page.get_by_label("Reader").first.input_value() == "mine.onnx"
    _give(page, LINES / "7.png")
    page.locator(".cw-card").wait_for()
    assert page.locator(".cw-card").get_attribute("data-reader") == "mine.onnx"


def test_a_zip_file_becomes_a_table(page: "Page", tmp_path: Path) -> None:
    page.get_by_role("tab", name="Many pictures").click()
    _give_many(page, _archive(tmp_path / "scans.zip"))
    page.click("#cw-start")
    page.locator('.cw-batch[data-finished="true"]').wait_for()
    rows = list(csv.DictReader(io.StringIO(_downloaded(page))))
    assert {row["path"]: row["text"] for row in rows} == {
        **{f"scans.zip/{path.name}": path.stem for path in LINES.glob("*.png")},
        "scans.zip/broken.png": "",
    }
    assert [row["path"] for row in rows if row["error"]] == ["scans.zip/broken.png"]


def test_a_folder_of_the_visitors_becomes_a_table(page: "Page", tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "below").mkdir(parents=True)
    shutil.copy(LINES / "3698.png", folder)
    shutil.copy(LINES / "92.png", folder / "below")
    (folder / "notes.txt").write_text("no picture")
    page.get_by_role("tab", name="Many pictures").click()
    with page.expect_file_chooser() as chooser:
        page.click("#cw-whole")
    chooser.value.set_files(folder)
    page.locator("#cw-files").get_by_text("3698").first.wait_for()
    page.click("#cw-start")
    page.locator('.cw-batch[data-finished="true"]').wait_for()
    assert page.locator(".cw-progress i").get_attribute("style") == "width:100.0%"
    rows = csv.DictReader(io.StringIO(_downloaded(page)))
    assert [(row["path"], row["text"]) for row in rows] == [("3698.png", "3698"), ("92.png", "92")]


def test_a_folder_of_the_server_is_typed(page: "Page") -> None:
    page.get_by_role("tab", name="Many pictures").click()
    page.fill("#cw-folder textarea, #cw-folder input", ".")
    page.click("#cw-start")
    page.locator('.cw-batch[data-finished="true"]').wait_for()
    rows = list(csv.DictReader(io.StringIO(_downloaded(page))))
    assert {row["path"]: row["text"] for row in rows} == {
        path.name: path.stem for path in LINES.glob("*.png")
    }


def test_stop_leaves_a_table_of_what_was_read(page: "Page", tmp_path: Path) -> None:
    archive = many_lines(tmp_path / "many.zip")
    page.get_by_role("tab", name="Many pictures").click()
    _give_many(page, archive)
    page.click("#cw-start")
    page.locator('.cw-batch[data-finished="false"] tr >> nth=1').wait_for()
    page.click("#cw-stop")
    page.locator('.cw-batch[data-finished="true"]').wait_for()
    said = re.search(r"Stopped after ([\d,]+) of 20,000", page.locator("#cw-report").inner_text())
    assert said
    rows = list(csv.DictReader(io.StringIO(_downloaded(page))))
    assert len(rows) == int(said[1].replace(",", "")) < 20_000
    assert {row["text"] for row in rows} == {"92"}


def test_nothing_overflows_on_a_phone(page: "Page", tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert _overflow(page) <= 0
    _give(page, LINES / "80777783444241.png")
    page.locator(".cw-card").wait_for()
    assert _overflow(page) <= 0
    page.get_by_role("tab", name="Many pictures").click()
    assert _overflow(page) <= 0
    _give_many(page, _archive(tmp_path / "a-name-that-is-long-and-has-no-spaces.zip"))
    page.click("#cw-start")
    page.locator('.cw-batch[data-finished="true"]').wait_for()
    page.locator("#cw-table a").first.wait_for()
    assert _overflow(page) <= 0
    assert page.evaluate(TABLE_OVERFLOW) <= 0
