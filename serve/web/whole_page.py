"""The tab for whole pages: boxes over the picture, and what the lines say beside it."""

import threading
from collections.abc import Mapping
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from crnn_runtime import CrnnError, Detector
from crnn_runtime.page.page import Page, PageLine
from crnn_runtime.picture.load import load_page, read_bytes
from crnn_serve.web import view
from crnn_serve.web.events import Sent, Settings, sentence
from crnn_serve.web.readers import Readers

_HINT = "Drop, paste or choose a scan or a photograph of a page."
_SENT_SIDE = 1600  # pixels of the picture that is shown
_LINKED = 400  # lines that light up together with their boxes; more rules make a page slow


class LineFinder:
    """A detector that is opened when a page is read first.

    Args:
        detector: a name or a file, see `Detector`.
        device: see `Detector`.
        threads: see `Detector`.
    """

    def __init__(
        self,
        detector: str | None = None,
        *,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        self._given = (detector, device, threads)
        self._lock = threading.Lock()
        self._opened: Detector | None = None

    def get(self) -> Detector:
        """The detector.

        Raises:
            CrnnError: none is installed, or the one that was given cannot be used.
        """
        with self._lock:
            if self._opened is None:
                self._opened = Detector(*self._given)
            return self._opened

    def close(self) -> None:
        """Release it."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


class WholePage:
    """The tab.

    Args:
        readers: to choose from.
        settings: what visitors may do.
        finder: of the lines.
    """

    def __init__(self, readers: Readers, settings: Settings, finder: LineFinder) -> None:
        self._readers = readers
        self._settings = settings
        self._finder = finder

    def build(self, reader: gr.Dropdown, own: gr.State) -> gr.Dropdown:
        """Place what is in the tab, with the choice of the reader, and connect it."""
        with gr.Row(equal_height=True):
            with gr.Column(scale=6, min_width=300):
                image = gr.Image(
                    type="filepath", sources=["upload", "clipboard"], height=216, buttons=[],
                    show_label=False, elem_id="cw-page-image",
                    placeholder="Drop a picture of a page",
                )  # fmt: skip
            with gr.Column(scale=5, min_width=300):
                reader.render()  # type: ignore[no-untyped-call]
        result = gr.HTML(
            view.message(_HINT, "hint"), elem_id="cw-page-result", apply_default_css=False,
            padding=False,
        )  # fmt: skip
        gr.on(
            [image.change, reader.change], self.read, [image, reader, own], result,
            preprocess=False, trigger_mode="always_last", api_name="read_page",
            show_progress="minimal",
        )  # fmt: skip
        return reader

    def read(self, image: Sent, reader: str, own: Mapping[str, Path]) -> str:
        """A page as HTML."""
        if not image:
            return view.message(_HINT, "hint")
        try:
            data = read_bytes(self._settings.uploaded(image).path)
            picture = load_page(data)[0]
            with self._readers.lend(str(reader), own) as recognizer:
                page = recognizer.read_page(data, detector=self._finder.get())
        except (CrnnError, MemoryError) as error:
            return view.message(sentence(error))
        return page_html(page, picture)


def page_html(page: Page, picture: NDArray[np.uint8]) -> str:
    """The picture with a box for each line, and the text, linked by number.

    Args:
        page: what was read.
        picture: RGB (H, W, 3), the page at any size.
    """
    if not page.lines:
        note = view.message("No line of text was found on this page.", "note")
    else:
        count = len(page.lines)
        note = f'<p class="cw-facts"><span>{count} line{"s" * (count != 1)}</span></p>'
    numbers = {id(line): number for number, line in enumerate(page.lines)}
    blocks = "".join(
        f"<ol>{''.join(_item(line, numbers[id(line)]) for line in block)}</ol>"
        for block in page.blocks()
    )
    boxes = "".join(_box(line, number) for number, line in enumerate(page.lines))
    shown = f'<img alt="the page" src="{view.data_url(picture, _SENT_SIDE, _SENT_SIDE)}">'
    return (
        f'{_links(len(page.lines))}<article class="cw-card cw-page"><div class="cw-sheet">{shown}'
        f'<svg viewBox="0 0 {page.width} {page.height}" preserveAspectRatio="none">{boxes}</svg>'
        f'</div><div class="cw-said">{note}{blocks}</div></article>'
    )


def _box(line: PageLine, number: int) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.polygon.tolist())
    text = line.line.error or f"{line.text} ({100 * line.confidence:.1f} %)"
    return (
        f'<polygon class="cw-l{number}" points="{points}" '
        f'style="--c:{view.tint(line.confidence)}"><title>{escape(text)}</title></polygon>'
    )


def _item(line: PageLine, number: int) -> str:
    said = escape(line.line.error) if line.line.error else view.marked_text(line.line)
    language = ' lang="zh-Hans"' if any(char >= "\u2e80" for char in line.text) else ""
    return f'<li class="cw-l{number}"{language}>{said}</li>'


def _links(lines: int) -> str:
    """Rules by which a line and its box light up together, without a script."""
    rules = "".join(
        f".cw-page:has(.cw-l{n}:hover) .cw-l{n}{{--on:1!important}}"
        for n in range(min(lines, _LINKED))
    )
    return f"<style>{rules}</style>"
