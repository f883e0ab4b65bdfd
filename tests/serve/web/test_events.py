"""The page's events, called as Gradio calls them."""

import csv
import resource
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the extra web is not installed")

import fastapi
import gradio

from crnn_runtime.readers import reader_path
from crnn_serve.web.events import Events, Settings
from crnn_serve.web.page import VISITORS, Page
from crnn_serve.web.readers import Readers

LINES = Path(__file__).parents[3] / "examples" / "lines"


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(Readers(["digits"], threads=1), Settings(uploads=tmp_path, folder=LINES))


@pytest.fixture
def full_disk() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # bytes that a file may have
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_uploads_that_go_while_they_are_read_are_read_to_the_end(
    events: Events, tmp_path: Path
) -> None:
    sent = []
    for name in ("a.zip", "b.zip"):
        path = tmp_path / f"up-{name}" / name
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(LINES / "92.png", "92.png")
            archive.write(LINES / "3698.png", "3698.png")
        sent.append({"path": str(path), "orig_name": name})
    run = events.read_many(sent, "", "digits", {}, {"stop": False})
    next(run)
    for each in sent:  # as when their time is over
        Path(each["path"]).unlink()
    *_, (said, table) = run
    assert "Read 4 of 4 pictures" in said
    with Path(table["value"]).open(encoding="utf-8-sig") as file:
        assert [row["text"] for row in csv.DictReader(file)] == ["92", "3698"] * 2
    (said, table), *_ = events.read_many(sent, "", "digits", {}, {"stop": False})
    assert "give it again" in said
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["lines.csv"]


def test_a_model_that_was_brought_outlives_its_upload_while_it_is_open(
    events: Events, tmp_path: Path
) -> None:
    model = shutil.copy(reader_path("digits"), tmp_path / "mine.onnx")
    picture = shutil.copy(LINES / "92.png", tmp_path)
    own = events.bring({"path": str(model), "orig_name": "mine.onnx"}, {})[0]
    Path(model).unlink()
    sent = {"path": str(picture), "orig_name": "92.png"}
    assert "cw-text" in events.read(sent, "mine.onnx", "", own)
    said = events.read(sent, "mine.onnx", "", {"mine.onnx": tmp_path / "other.onnx"})
    assert "mine.onnx" in said
    assert str(tmp_path) not in said


def test_as_many_visitors_are_kept_as_is_said(tmp_path: Path) -> None:
    blocks = Page(Readers(["digits"], threads=1), Settings(uploads=tmp_path)).build()
    gradio.mount_gradio_app(fastapi.FastAPI(), blocks, path="/")
    assert blocks.state_holder.capacity == VISITORS


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_a_sentence_and_leaves_nothing(events: Events, tmp_path: Path) -> None:
    *_, (said, table) = events.read_many(None, ".", "digits", {}, {"stop": False})
    assert "cw-error" in said
    assert "File too large" in said
    assert table["value"] is None
    assert not list(tmp_path.iterdir())
