"""The page in a real browser: lines labelled by keyboard alone, over a server that dies."""

import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader
from processes import listening

pytest.importorskip("fastapi", reason="the extra label is not installed")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LINES = 50
HOSTILE = "<img src=x onerror=alert(1)>'&.png"
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("web")]


def _served(
    folder: Path, reader: Path, port: str = "0"
) -> AbstractContextManager[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "crnn_serve.label.cli", str(folder), "--port", port]
    return listening([*command, "--reader", str(reader), "--threads", "1"])


def _written(folder: Path) -> dict[str, str]:
    text = "".join((folder / f"{side}.tsv").read_text() for side in ("train", "dev"))
    return dict(row.split("\t", 1) for row in text.splitlines())


def _draw(folder: Path, names: list[str]) -> dict[str, str]:
    texts = {name: f"{7 * number + 1000}" for number, name in enumerate(names)}
    for name, text in texts.items():
        (folder / name).write_bytes(cv2.imencode(".png", draw_barcode(text))[1].tobytes())
    return texts


class _Typist:
    """Somebody who looks at the page and has only a keyboard."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.shown = ""
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(dialog.message))

    def line(self) -> str | None:
        """The name of the line that is shown next, None when there are no more."""
        self.page.wait_for_selector(f"body[data-shown]:not([data-shown='{self.shown}'])")
        self.shown = str(self.page.get_attribute("body", "data-shown"))
        if self.page.is_hidden("#work"):
            return None
        return str(self.page.evaluate("shown.line.path"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)


class _Work:
    """The work of a typist: most readings are right, some need a character, some are no text."""

    def __init__(self, typist: _Typist, texts: dict[str, str]) -> None:
        self.typist, self.texts = typist, texts
        self.seen: list[str] = []
        self.changed: dict[str, str] = {}
        self.rejected: set[str] = set()

    def label(self, upto: int) -> None:
        page = self.typist.page
        while len(self.seen) < upto:
            name = str(self.typist.line())
            self.seen.append(name)
            assert page.input_value("#text") == self.texts[name]
            if len(self.seen) % 9 == 4:
                self.changed[name] = f"{self.texts[name]}☃"
                self.typist.press("End")
                page.keyboard.insert_text("☃")
                assert "☃" in page.inner_text("#unknown")
            key = {5: "Alt+n", 6: "Alt+u"}.get(len(self.seen) % 11, "Enter")
            if key != "Enter":
                self.rejected.add(name)
            self.typist.press(key)

    def wanted(self) -> dict[str, str]:
        """The rows that training should find."""
        rows = {name: self.changed.get(name, text) for name, text in self.texts.items()}
        return {name: text for name, text in rows.items() if name not in self.rejected}


def test_lines_are_labelled_by_keyboard_over_a_killed_server(
    browser: "Browser", tmp_path: Path
) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    texts = _draw(folder, [HOSTILE, *(f"p{n // 5}_{n % 5}.png" for n in range(LINES - 1))])
    (folder / "broken.png").write_bytes(b"no picture")
    reader = write_barcode_reader(tmp_path / "bars.onnx", barcode_card(head="greedy"))
    typist = _Typist(browser.new_page())
    work = _Work(typist, texts)
    with _served(folder, reader) as (address, process):
        typist.page.goto(address)
        work.label(LINES // 2)
        last = typist.line()
        process.send_signal(signal.SIGKILL)
        process.wait()
        typist.press("Enter")  # into the void
        typist.page.wait_for_selector("#message:not([hidden])")
    with _served(folder, reader, address.rpartition(":")[2]):
        work.seen.append(str(last))
        work.label(LINES)
        assert typist.line() is None
        assert sorted(work.seen) == sorted(texts)
        assert _written(folder) == work.wanted()
        assert typist.page.inner_text("#count").startswith(f"{LINES} ")
    assert not typist.errors
    typist.page.close()
    sides = [
        {row.split("_")[0] for row in (folder / f"{side}.tsv").read_text().splitlines()}
        for side in ("train", "dev")
    ]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_back_and_a_second_window(browser: "Browser", tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    _draw(folder, [f"{number}.png" for number in range(4)])
    reader = write_barcode_reader(tmp_path / "bars.onnx", barcode_card(head="greedy"))
    with _served(folder, reader) as (address, _):
        one, two = (_Typist(browser.new_page()) for _ in range(2))
        one.page.goto(address)
        first = one.line()
        two.page.goto(address)
        assert two.line() not in (first, None)
        one.press("End", "1", "Enter")
        second = one.line()
        one.press("PageUp")
        assert one.line() == first
        key = one.page.evaluate("shown.line.key")
        two.page.evaluate("async key => show((await ask(`api/line/${key}`)).body)", key)
        assert two.line() == first
        one.press("End", "2", "Enter")
        assert one.line() == second
        two.press("End", "3", "Enter")
        two.page.wait_for_selector("#message:not([hidden])")
        assert two.page.input_value("#text").endswith("12")
        assert _written(folder)[str(first)].endswith("12")
        two.press("End", "4", "Enter")
        two.page.wait_for_selector("#message", state="hidden")
        assert _written(folder)[str(first)].endswith("124")
        for typist in (one, two):
            typist.page.close()
