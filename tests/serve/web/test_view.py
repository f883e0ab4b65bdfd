"""The page's view of one line, and of many."""

import base64
import csv
import io
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader
from tiny_reader import write_tiny_reader

from crnn_runtime import Alphabet, CrnnError, ImageError, Recognizer
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.load import load_image
from crnn_runtime.picture.rotate import rotated
from crnn_runtime.readers import reader_path
from crnn_serve.web import batch, view
from crnn_serve.web.heat import class_rows, heat_svg
from crnn_serve.web.readers import Readers

ROOT = Path(__file__).parents[3]
LINES = ROOT / "examples" / "lines"


def _recognizer(folder: Path, card: ModelCard) -> Recognizer:
    return Recognizer(write_barcode_reader(folder / "reader.onnx", card))


def _card_of(recognizer: Recognizer, text: str, name: str = "reader") -> str:
    image = draw_barcode(text)
    picture = np.repeat(image[:, :, None], 3, axis=2)
    return view.card(name, recognizer.inspect(image), recognizer.card, picture)


def test_what_a_model_or_a_visitor_names_is_escaped(tmp_path: Path) -> None:
    card = barcode_card(alphabet=Alphabet("<&>\"'56789"), head="log-probs")
    html = _card_of(_recognizer(tmp_path, card), "0123", "<script>x</script>")
    assert "<script" not in html
    assert "&lt;&amp;&gt;&quot;" in html
    known = "article|header|strong|span|p|div|img|i|svg|rect|title|section|h4|table|tbody|tr|td"
    known += "|mark|del|ul|li|b|details|summary|code|em|line|u"
    assert set(re.findall(r"</?([a-z0-9]+)", html)) <= set(known.split("|"))


def test_a_greedy_head_is_told_from_one_that_gives_all(tmp_path: Path) -> None:
    greedy = _card_of(_recognizer(tmp_path, barcode_card(head="greedy")), "52")
    assert greedy.count("--head topk") == 2
    assert "unknown, not zero" in greedy
    full = _card_of(_recognizer(tmp_path, barcode_card(head="log-probs")), "52")
    assert "--head" not in full
    assert full.count('class="cw-prob"') == 5


def test_a_picture_that_was_turned_is_shown_turned() -> None:
    picture = rotated(load_image(ROOT / "docs" / "samples" / "latin.jpg"), 90)
    with Recognizer("latin", turn="auto") as recognizer:
        found = recognizer.inspect(picture)
        html = view.card("latin", found, recognizer.card, picture)
    sent = re.search(r"data:image/jpeg;base64,([^\"]+)", html)
    assert sent is not None
    shown = load_image(base64.b64decode(sent[1]))
    assert shown.shape[1] > shown.shape[0]
    assert "turned by 270°" in html


def test_the_map_shows_each_step_once_though_pieces_overlap(tmp_path: Path) -> None:
    recognizer = _recognizer(tmp_path, barcode_card(head="greedy", max_width=512))
    found = recognizer.inspect(draw_barcode("0123456789" * 8))
    rows, left_out = class_rows(found.steps)
    assert (rows, left_out) == ([*range(1, 11), 0], 0)
    svg = heat_svg(found.steps, rows, recognizer.card.alphabet, found.width)
    places = [float(x) for x in re.findall(r'<rect[^>]* x="([\d.]+)"', svg)]
    assert places == sorted(set(places))
    assert len(places) == len(found.line.raw)
    assert svg.count("cw-seam") == len(found.steps) - 1


def test_differences_are_marked() -> None:
    assert view.differences("9<5", "9<55") == "9&lt;5<mark>5</mark>"
    assert view.differences("abc", "ac") == "a<del>b</del>c"


def _pictures(folder: Path) -> list[batch.Given]:
    """Two lines, one of them in a zip file with what is none and what is broken."""
    archive = folder / "more.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(LINES / "92.png", "a/92.png")
        file.writestr("a/readme.txt", "not a picture")
        file.writestr("__MACOSX/a/._92.png", "not one either")
        file.writestr("broken.png", b"no picture")
    single = folder / "uploaded.png"
    single.write_bytes((LINES / "3698.png").read_bytes())
    return [batch.Given("3698.png", single), batch.Given("more.zip", archive)]


def _table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))


def test_many_pictures_become_a_table(tmp_path: Path) -> None:
    recognizer = Recognizer(reader_path("digits"), threads=1)
    given = _pictures(tmp_path)
    *_, last = batch.read_all(recognizer, given, tmp_path / "out.csv")
    assert (last.total, last.done, last.failed, last.finished) == (3, 3, 1, True)
    rows = _table(tmp_path / "out.csv")
    assert [(row["path"], row["text"]) for row in rows] == [
        ("3698.png", "3698"),
        ("more.zip/a/92.png", "92"),
        ("more.zip/broken.png", ""),
    ]
    assert [bool(row["error"]) for row in rows] == [False, False, True]
    assert 0.5 < float(rows[0]["confidence"]) <= 1
    assert rows[2]["confidence"] == ""
    assert "could not be read" in batch.report_html(last)


def test_a_folder_is_read_like_its_files(tmp_path: Path) -> None:
    recognizer = Recognizer(reader_path("digits"), threads=1)
    *_, last = batch.read_all(recognizer, [batch.Given("lines", LINES)], tmp_path / "out.csv")
    rows = _table(tmp_path / "out.csv")
    assert last.total == len(rows) == len(list(LINES.iterdir()))
    wrong = [row for row in rows if row["text"] != Path(row["path"]).stem]
    assert not wrong


def test_a_run_that_is_stopped_keeps_what_was_read(tmp_path: Path) -> None:
    recognizer = Recognizer(reader_path("digits"), threads=1)
    asked = iter((False, False, True))
    run = batch.read_all(
        recognizer, [batch.Given("lines", LINES)], tmp_path / "out.csv", lambda: next(asked)
    )
    *_, last = run
    assert (last.done, last.finished, last.stopped) == (2, True, True)
    assert len(_table(tmp_path / "out.csv")) == 2
    assert f"2 of {len(list(LINES.iterdir()))} pictures" in batch.report_html(last)


def test_a_zip_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    bad = tmp_path / "x.zip"
    bad.write_bytes(b"no zip file")
    with pytest.raises(CrnnError, match=r"holiday\.zip"):
        batch.count([batch.Given("holiday.zip", bad)])


def test_a_picture_that_unpacks_to_too_much_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_FILE_BYTES", 1_000_000)
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.png", bytes(20_000_000))
    ((name, picture),) = batch.pictures([batch.Given("bomb.zip", archive)])
    assert name == "bomb.zip/bomb.png"
    assert isinstance(picture, ImageError)


def test_readers_are_offered_and_found_by_name(tmp_path: Path) -> None:
    given = write_barcode_reader(tmp_path / "mine.onnx", barcode_card(head="greedy"))
    readers = Readers([str(given)], threads=1)
    assert readers.names[0] == "mine"
    assert "digits" in readers.names
    with readers.lend("mine") as first, readers.lend("mine") as second:
        assert first is second
    with pytest.raises(CrnnError, match="other"):
        readers.lend("other").__enter__()
    with readers.lend("other", {"other": given}) as own:
        assert own.card.arch == "barcode"
    with pytest.raises(CrnnError, match=r"gone\.onnx"):
        readers.lend_file(tmp_path / "gone.onnx").__enter__()
    with pytest.raises(CrnnError, match="no-such-reader"):
        Readers(["no-such-reader"])


@pytest.mark.parametrize("device", ["banana", "cuda:99"])
def test_a_device_that_is_missing_is_told_before_anybody_comes(device: str) -> None:
    with pytest.raises(CrnnError, match=device):
        Readers(device=device)


def test_a_model_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    model = tmp_path / "mine.onnx"
    shutil.copy(reader_path("digits"), model)
    readers = Readers([str(model)], threads=1)
    with readers.lend("mine") as first:
        before = first.card.alphabet
    shutil.copy(reader_path("latin"), tmp_path / "new.onnx")
    (tmp_path / "new.onnx").replace(model)
    with readers.lend("mine") as second:
        assert second.card.alphabet != before


def test_few_readers_stay_open_and_those_in_use_among_them(tmp_path: Path) -> None:
    readers = Readers(threads=1)
    paths = [write_tiny_reader(tmp_path / f"{n}.onnx") for n in range(8)]
    picture = draw_barcode("42")
    with readers.lend_file(paths[1]) as unused:
        pass
    with readers.lend_file(paths[0]) as used:
        for path in paths[2:]:
            with readers.lend_file(path) as last:
                pass
        with readers.lend_file(paths[0]) as again:
            assert again is not used  # it was evicted, and opened anew
        assert used.read([picture])[0].text == "42"
        with pytest.raises(CrnnError):
            unused.read([picture])  # it is closed
    with pytest.raises(CrnnError):
        used.read([picture])  # and this one when it was given back
    assert last.read([picture])[0].text == "42"
    readers.close()
    for each in (last, again):
        with pytest.raises(CrnnError):
            each.read([picture])
