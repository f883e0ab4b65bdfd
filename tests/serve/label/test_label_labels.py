"""Answers, their order, what is accepted unseen, and the files that training reads."""

from pathlib import Path

import pytest

from crnn.data.annotations import find_annotations, read_annotations
from crnn_runtime import Alphabet, CrnnError, Line
from crnn_serve.label import tables
from crnn_serve.label.labels import Labels, Settings, StaleError
from crnn_serve.label.order import Estimate

ALPHABET = Alphabet("0123456789")
WINDOW = "one"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for page in "abcd":
        for number in range(3):
            (tmp_path / f"{page}_{number}.png").touch()
    return tmp_path


def _opened(folder: Path, *, read: bool = True, **settings: float) -> Labels:
    """Lines whose confidence falls with their names."""
    labels = Labels(folder, ALPHABET, Settings(**settings))  # type: ignore[arg-type]
    if read:
        for number, entry in enumerate(labels.unread()):
            labels.read(entry, Line(f"{number}", 1 - number / 100, "", ()))
        labels.finish_reading()
    return labels


def _rows(folder: Path) -> dict[str, str]:
    text = "".join((folder / f"{side}.tsv").read_text() for side in ("train", "dev"))
    rows = [row.split("\t", 1) for row in text.splitlines()]
    assert len(rows) == len({path for path, _ in rows})
    return dict(rows)


def _next(labels: Labels, window: str = WINDOW) -> str:
    entry, _ = labels.next_for(window)
    assert entry is not None
    return entry.path


def _answer(labels: Labels, path: str, text: str) -> None:
    entry = next(each for each in labels._entries.values() if each.path == path)
    labels.answer(entry.key, entry.version, "text", text)


def test_the_least_certain_comes_first_and_what_is_put_off_last(folder: Path) -> None:
    labels = _opened(folder)
    entry, _ = labels.next_for(WINDOW)
    assert entry is not None
    assert entry.path == "d_2.png"
    labels.answer(entry.key, 0, "skip")
    order = []
    for _ in range(12):
        entry, _ = labels.next_for(WINDOW)
        assert entry is not None
        order.append(entry.path)
        labels.answer(entry.key, entry.version, "text", "1")
    assert order == [*sorted(order[:-1], reverse=True), "d_2.png"]
    assert labels.next_for(WINDOW) == (None, None)
    labels.close()


def test_what_was_answered_is_what_training_reads_and_goes_on_after_a_restart(
    folder: Path,
) -> None:
    labels = _opened(folder)
    _answer(labels, "a_0.png", " 12")
    _answer(labels, "b_0.png", "5〇")
    rejected = labels._entries["c_0.png"]
    labels.answer(rejected.key, 0, "not-text")
    assert labels.progress()["unknown"] == [("〇", 1)]
    labels.close()
    labels = _opened(folder, read=False)
    assert _rows(folder) == {"a_0.png": "12", "b_0.png": "5〇"}
    assert labels.progress()["done"] == 3
    sides = [
        read_annotations(find_annotations(folder, side), ALPHABET) for side in ("train", "dev")
    ]
    assert sorted(len(side) + len(side.defects) for side in sides) == [1, 1]
    labels.close()


def test_a_second_window_gets_another_line_and_the_newer_answer(folder: Path) -> None:
    labels = _opened(folder)
    first = _next(labels)
    assert _next(labels, "two") != first
    assert _next(labels) == first
    entry = labels._entries[first]
    labels.answer(entry.key, 0, "text", "1")
    with pytest.raises(StaleError) as refused:
        labels.answer(entry.key, 0, "text", "2")
    assert refused.value.entry.text == "1"
    labels.answer(entry.key, 0, "text", "1")  # sent once more: its answer was lost on the way
    assert entry.version == 1
    labels.answer(entry.key, 1, "text", "2")
    assert _rows(folder) == {first: "2"}
    labels.close()


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "a\tb", "\x00", "\ud800", "\u2028", "1" * 3000])
def test_what_no_row_can_hold_is_refused(folder: Path, text: str) -> None:
    labels = _opened(folder)
    with pytest.raises(CrnnError):
        _answer(labels, "a_0.png", f"1{text}1" if text.strip() else text)
    assert _rows(folder) == {}
    labels.close()


def test_names_that_no_row_can_hold_are_left_out_and_counted(tmp_path: Path) -> None:
    for name in (b"tab\t.png", b"end\n.png", b"\xff\xfe.png", b"<img src=x>'\".png", b" .png"):
        Path(str(tmp_path), name.decode(errors="surrogateescape")).touch()
    labels = _opened(tmp_path)
    assert labels.progress()["misnamed"] == 3
    assert len(labels.unread()) == 2
    for entry in labels.unread():
        labels.answer(entry.key, 0, "text", "7")
    assert set(_rows(tmp_path)) == {"<img src=x>'\".png", " .png"}
    labels.close()


def test_unread_pictures_are_named_and_not_shown(folder: Path) -> None:
    labels = Labels(folder, ALPHABET)
    for entry in labels.unread():
        labels.read(entry, Line.unread("it is damaged"))
    labels.finish_reading()
    assert labels.next_for(WINDOW) == (None, None)
    assert labels.progress()["failures"] == 12
    labels.close()


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CrnnError):
        Labels(tmp_path, ALPHABET)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("side", ["train", "dev"])
def test_files_of_somebody_else_are_never_overwritten(folder: Path, side: str) -> None:
    file = folder / f"{side}.tsv"
    file.write_text("a_0.png\t99\n")
    with pytest.raises(CrnnError):
        _opened(folder)
    assert file.read_text() == "a_0.png\t99\n"
    file.unlink()
    labels = _opened(folder)
    file.write_text("a_0.png\t98\n")
    _answer(labels, "a_0.png", "1")
    assert labels.progress()["problem"]
    assert file.read_text() == "a_0.png\t98\n"
    file.unlink()
    _answer(labels, "b_0.png", "2")
    assert not labels.progress()["problem"]
    assert _rows(folder) == {"a_0.png": "1", "b_0.png": "2"}
    labels.close()


def test_tables_that_cannot_be_written_keep_the_old_ones_and_the_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, write: object) -> None:
        raise CrnnError(f"cannot write {path}: No space left on device")

    labels = _opened(folder)
    _answer(labels, "a_0.png", "1")
    with monkeypatch.context() as disk:
        disk.setattr(tables, "write_atomically", full)
        _answer(labels, "b_0.png", "2")
        assert labels.progress()["problem"]
        assert _rows(folder) == {"a_0.png": "1"}
    labels.close()
    labels = _opened(folder, read=False)
    assert _rows(folder) == {"a_0.png": "1", "b_0.png": "2"}
    labels.close()


def test_what_is_certain_is_accepted_and_a_sample_estimates_the_errors(folder: Path) -> None:
    labels = _opened(folder, accept_above=0.95, sample=3)
    trusted = {entry.path for entry in labels._entries.values() if entry.trusted is not None}
    assert trusted == {"a_0.png", "a_1.png", "a_2.png", "b_0.png", "b_1.png"}
    assert set(_rows(folder)) == trusted
    shown = []
    while entry := labels.next_for(WINDOW)[0]:
        shown.append(entry.path)
        text = "77" if entry.trusted and len(trusted & set(shown)) == 1 else entry.text or "5"
        labels.answer(entry.key, entry.version, "text", text)
    assert len(trusted & set(shown)) == 3
    assert shown[:4] == ["d_2.png", "d_1.png", "d_0.png", "c_2.png"]
    assert shown[4] in trusted
    found = labels.progress()["estimate"]
    assert (found["accepted"], found["seen"], found["wrong"]) == (5, 3, 1)
    labels.close()
    labels = _opened(folder, read=False)
    assert labels.progress()["estimate"] == found
    labels.close()


def test_the_interval_of_an_estimate() -> None:
    low, high = Estimate(1000, 100, 2).interval()  # 0.0055 and 0.0700 in the literature
    assert low == pytest.approx(0.0055, abs=2e-4)
    assert high == pytest.approx(0.0700, abs=2e-4)
    assert Estimate(1000, 0, 0).interval() == (0.0, 1.0)
    low, high = Estimate(1000, 100, 0).interval()
    assert low == 0
    assert 0.02 < high < 0.05
