"""Both pages behind a proxy, under another name and a sub-path, in a real browser."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from processes import listening
from proxy import NAME, Proxy, proxied

pytest.importorskip("gradio", reason="the extra web is not installed")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LINES = Path(__file__).parents[2] / "examples" / "lines"
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("web")]


@contextmanager
def _served(module: str, *arguments: str) -> Iterator[tuple[Proxy, str]]:
    """A page behind a proxy, and its address in the browser."""
    with proxied("/team/lines") as proxy:
        public = f"http://{NAME}:{proxy.server_port}/team/lines"
        command = [sys.executable, "-m", module, "--port", "0", "--public-url", public, *arguments]
        with listening(command) as (proxy.target, process):
            assert process.stdout is not None
            assert process.stdout.readline().split()[-1] == f"{public}/"
            yield proxy, public


@contextmanager
def _opened(browser: "Browser", address: str, needed: str) -> "Iterator[Page]":
    """The page at an address; all that it asks for is there, ``needed`` among it."""
    page = browser.new_page()
    answers: list[tuple[int, str]] = []
    wrong: list[str] = []
    page.on("response", lambda answer: answers.append((answer.status, answer.url)))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_default_timeout(30_000)
    page.goto(address)
    yield page
    assert [answer for answer in answers if answer[0] >= 400] == []
    assert any(needed in url for _, url in answers)
    assert wrong == []
    page.close()


def _wait_for_picture(page: "Page", selector: str) -> None:
    """Fail if the picture does not come within Playwright's patience; the page may change it."""
    page.locator(selector).first.wait_for(state="attached")
    page.wait_for_function(
        "selector => { const image = document.querySelector(selector);"
        " return image.complete && image.naturalWidth > 0; }",
        arg=selector,
    )


def test_the_page_that_reads(browser: "Browser") -> None:
    with _served("crnn_serve.web.cli", "--reader", "digits") as (proxy, public):
        # With the last slash or without; the proxy keeps the path, or takes it away.
        for strips, address in ((False, public), (True, f"{public}/")):
            proxy.strips = strips
            with _opened(browser, address, "/heartbeat/") as page:
                page.wait_for_selector("#cw-result .cw-hint")
                _wait_for_picture(page, ".gallery img, .gallery-item img, #cw-examples img")
                page.set_input_files("#cw-image input[type=file]", LINES / "9580510029.png")
                page.locator(".cw-card").wait_for()
                assert page.locator(".cw-text").inner_text() == "9580510029"
                _wait_for_picture(page, ".cw-picture img")
                style = "getComputedStyle(document.querySelector('.cw-picture')).position"
                assert page.evaluate(style) == "relative"
        port = httpx.URL(proxy.target).port
        for name, status in ((NAME, 200), ("127.0.0.1", 200), ("other.example", 403)):
            headers = {"Host": f"{name}:{port}"}
            assert httpx.get(proxy.target, headers=headers).status_code == status


def test_the_page_that_labels(browser: "Browser", tmp_path: Path) -> None:
    for path in sorted(LINES.glob("*.png"))[:3]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    arguments = ("--reader", "digits", "--threads", "1", str(tmp_path))
    with _served("crnn_serve.label.cli", *arguments) as (proxy, public):
        for number, strips in enumerate((False, True), start=1):
            proxy.strips = strips
            with _opened(browser, f"{public}/" if strips else public, "/label.css") as page:
                page.locator("#work").wait_for()
                _wait_for_picture(page, "#image")
                with page.expect_response(lambda answer: "/api/answer" in answer.url) as answered:
                    page.keyboard.press("Enter")
                assert answered.value.ok
                rows = [(tmp_path / f"{side}.tsv").read_text() for side in ("train", "dev")]
                assert len("".join(rows).splitlines()) == number
        for origin, status in ((public.rpartition("/team")[0], 400), ("http://other.example", 403)):
            headers = {"Origin": origin, "Content-Type": "application/json"}
            answer = httpx.post(f"{proxy.target}/api/answer", headers=headers, json={})
            assert answer.status_code == status
