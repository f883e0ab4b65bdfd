"""The page's events, called as Gradio calls them."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the extra web is not installed")

from crnn_serve.web.page import Page, Settings
from crnn_serve.web.readers import Readers

LINES = Path(__file__).parents[2] / "examples" / "lines"


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(Readers(["digits"], threads=1), Settings(uploads=tmp_path, folder=LINES))


@pytest.fixture
def full_disk() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # bytes that a file may have
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_a_sentence_and_leaves_nothing(page: Page, tmp_path: Path) -> None:
    *_, (said, table) = page.read_many(None, ".", "digits", {}, {"stop": False})
    assert "cw-error" in said
    assert "The table cannot be written: File too large: give fewer pictures" in said
    assert table["value"] is None
    assert not list(tmp_path.iterdir())
