"""The built site needs nothing from elsewhere, and its reference names all that is public."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from doc_pages import ROOT

pytest.importorskip("mkdocs", reason="needs the extra docs")
ASSET = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=\"?(https?:|//)[^>]*>")


def test_the_site_builds_strictly_and_loads_offline(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not ASSET.search(page.read_text("utf-8")), page
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:|//)", sheet.read_text("utf-8")), sheet


@pytest.mark.parametrize("package", ["crnn_runtime", "crnn", "crnn.training", "crnn.synth"])
def test_every_public_name_is_in_the_reference(package: str) -> None:
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs" / "api").glob("*.md"))
    for name in import_module(package).__all__:
        assert re.search(rf"\b{name}\b", text), f"{package}.{name}"
