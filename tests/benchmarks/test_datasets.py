from pathlib import Path

import cv2
import pytest
from barcode import draw_barcode, write_labelled
from refusals import refused

from crnn_benchmarks.harness.datasets import (
    SYNTH_SEED,
    distinct,
    load_lines,
    parse_synth,
    pictures_of,
)
from crnn_runtime.errors import CrnnError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty lines of digits."""
    folder = write_labelled(tmp_path / "digits_here", [*map(str, range(20))])
    labels = (folder / "labels.tsv").read_text()
    (folder / "labels.tsv").write_text(f"\ufeff{labels}\n")
    return folder


def test_a_folder_or_its_file_is_read(folder: Path) -> None:
    for spec in (folder, folder / "labels.tsv"):
        with load_lines(str(spec)) as lines:
            assert str(lines.data) == "digits_here, 20 lines"
            assert lines.texts == [str(number) for number in range(20)]
            assert lines.paths[3] == str(folder / "3.png")


def test_a_sample_is_the_same_every_time_and_says_so(folder: Path) -> None:
    with load_lines(str(folder), limit=7) as first, load_lines(str(folder), limit=7) as second:
        assert first == second
        assert str(first.data) == "digits_here, 7 of 20 lines"
        assert len(set(first.texts)) == 7
    with load_lines(str(folder), limit=7, seed=1) as third:
        assert third.data.sha256 != first.data.sha256


def test_the_hash_is_of_pictures_and_labels(folder: Path) -> None:
    with load_lines(str(folder)) as before:
        pass
    cv2.imwrite(str(folder / "5.png"), draw_barcode("6"))
    with load_lines(str(folder)) as after:
        assert before.data.sha256 != after.data.sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no tab\n", r"labels\.tsv:1"),
        ("0.png\ta\nmissing.png\tb\n", r"labels\.tsv:2: .*missing\.png"),
        ("\n", r"labels\.tsv"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(folder: Path, content: str, message: str) -> None:
    (folder / "labels.tsv").write_text(content)
    with pytest.raises(CrnnError, match=message), load_lines(str(folder)):
        pass


def test_what_is_no_data_set(tmp_path: Path) -> None:
    for spec in (str(tmp_path), str(tmp_path / "none.tsv"), "nowhere"):
        with pytest.raises(CrnnError), load_lines(spec):
            pass
    (tmp_path / "labels.tsv").write_bytes(b"a.png\t\xff\xff\n")
    with pytest.raises(CrnnError, match="not UTF-8"), load_lines(str(tmp_path)):
        pass


def test_synthetic_sets_by_name() -> None:
    assert parse_synth("synth:latin") == ("latin", "all", 1000, SYNTH_SEED)
    assert parse_synth("synth:latin:heldout:50:7") == ("latin", "heldout", 50, 7)
    for spec in ("synth:latin:all:0", "synth:latin:all:x", "synth:latin:all:5:5:5"):
        with pytest.raises(CrnnError, match="NAME"):
            parse_synth(spec)
    with refused("'nothing'"), load_lines("synth:nothing"):
        pass
    with refused("'x'"), load_lines("synth:digits:x:3"):
        pass


def test_synthetic_lines_are_the_same_every_time_and_go_away() -> None:
    with load_lines("synth:digits:heldout:3") as first, load_lines("synth:digits:heldout:3") as two:
        assert first.data == two.data
        assert first.data.name == f"synth:digits:heldout:3:{SYNTH_SEED}"
        assert all(text.isdecimal() for text in first.texts)
        assert all(Path(path).is_file() for path in first.paths)
    assert not any(Path(path).exists() for path in first.paths)
    with load_lines("synth:digits:train:3") as train:
        assert train.data.sha256 != first.data.sha256


def test_lines_as_a_recipe_draws_them() -> None:
    with load_lines("recipe:digits:all:3") as plain, load_lines("synth:digits:all:3") as preset:
        assert plain.data.name == f"recipe:digits:all:3:{SYNTH_SEED}"
        assert plain.data.sha256 != preset.data.sha256
        assert all(text.isdecimal() for text in plain.texts)
    with pytest.raises(CrnnError), load_lines("recipe:nothing"):
        pass


def test_pictures_without_labels(folder: Path, tmp_path: Path) -> None:
    name, paths = pictures_of(str(folder))
    assert name == "digits_here"
    assert len(paths) == 20
    (tmp_path / "empty").mkdir()
    for spec in ("empty", "missing"):
        with refused(spec):
            pictures_of(str(tmp_path / spec))


def test_text_files_with_tabs_are_read_and_codes_are_refused(folder: Path) -> None:
    text = (folder / "labels.tsv").read_text("utf-8-sig")
    other = folder / "rec_gt_test.txt"
    other.write_text(text)
    with load_lines(str(other)) as lines:
        assert lines.data.name == "rec_gt_test"
        assert len(lines.texts) == 20
    (folder / "labels.txt").write_text(text)
    with pytest.raises(CrnnError, match=r"labels\.tsv .*labels\.txt"), load_lines(str(folder)):
        pass
    (folder / "labels.tsv").unlink()
    with load_lines(str(folder)) as lines:
        assert lines.data.name == "digits_here"
    other.write_text("0.png 1 2 3\n1.png 2\n")
    with pytest.raises(CrnnError, match="codes"), load_lines(str(other)):
        pass


def test_names_get_as_much_of_their_path_as_tells_them_apart() -> None:
    places = [Path("/a/b/x"), Path("/c/b/x"), Path("/c/d/x"), Path("/c/d/y"), None, Path("/c/d/x")]
    names = distinct(["x", "x", "x", "y", "x", "x"], places)
    assert names == ["a/b/x", "c/b/x", "d/x", "y", "x", "d/x"]
    assert distinct(["zh", "zh"], [None, None]) == ["zh", "zh"]
    assert distinct(["s", "s"], [Path("/a/s.tsv"), Path("/a/s.txt")]) == ["a/s.tsv", "a/s.txt"]
