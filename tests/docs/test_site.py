"""The built site needs nothing from elsewhere, and its reference names all that is public."""

import os
import re
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from doc_pages import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("mkdocs", reason="needs the extra docs")
ASSET = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=\"?(https?:|//)[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_builds_strictly_and_loads_offline(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not ASSET.search(page.read_text("utf-8")), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:|//)", sheet.read_text("utf-8")), sheet


def test_what_is_copied_can_be_pasted_into_a_shell(browser: "Browser", site: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/triton.html")
        button = page.locator("button[data-clipboard-target]")
        button.nth(2).click()
        page.wait_for_function("navigator.clipboard.readText()")
        assert page.evaluate("navigator.clipboard.readText()") == (
            "python -m crnn_serve.triton.local_server models"
        )
        context.close()
        server.shutdown()


@pytest.mark.parametrize(
    "names",
    [
        ["export_onnx", "convert_precision", "build_engine", "write_model", "Serving"],
        ["pack", "begin", "read_missing", "result", "Workers", "Columns"],
    ],
    ids=["crnn_export", "crnn_serve"],
)
def test_what_commands_do_is_in_the_reference(names: list[str]) -> None:
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs" / "api").glob("*.md"))
    for name in names:
        assert re.search(rf"^::: crnn_(export|serve)\.[\w.]+\.{name}$", text, re.M), name


@pytest.mark.parametrize("package", ["crnn_runtime", "crnn", "crnn.training", "crnn.synth"])
def test_every_public_name_is_in_the_reference(package: str) -> None:
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs" / "api").glob("*.md"))
    for name in import_module(package).__all__:
        assert re.search(rf"\b{name}\b", text), f"{package}.{name}"
