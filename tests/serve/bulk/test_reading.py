"""Inputs that ``crnn-bulk`` reads and fetches; without Ray, workers are plain objects."""

import io
import tarfile
from pathlib import Path

import pytest
from refusals import assert_line

pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pytest.importorskip("fsspec", reason="the extra bulk is not installed")

import cv2
import fsspec
import pyarrow as pa
from bulk_lines import expected, pictures, write_lines
from bulk_runs import parquet, read_all, rows, texts, write_tar

from crnn_runtime import CrnnError, Decoding
from crnn_runtime.picture.load import load_image
from crnn_runtime.picture.rotate import rotated
from crnn_serve.bulk import run, sources
from crnn_serve.bulk.model import Reader, pack
from crnn_serve.bulk.plan import to_parts
from crnn_serve.bulk.sources import Columns, Item, list_items
from crnn_serve.bulk.store import Store

COUNT = 23


def test_a_folder_is_read_in_parts(reader: Reader, tmp_path: Path) -> None:
    paths = write_lines(tmp_path / "in", COUNT)
    outcomes = read_all(reader, [str(tmp_path / "in")], str(tmp_path / "out"))
    assert [outcome.count.lines for outcome in outcomes] == [10, 10, 3]
    found = rows(tmp_path / "out")
    assert [row["path"] for row in found] == [str(path) for path in paths]
    assert [row["text"] for row in found] == texts(COUNT)
    for row, line in zip(found, expected(), strict=False):
        assert [char["char"] for char in row["chars"]] == list(line.text)
        for end in ("x0", "x1"):
            places = [char[end] for char in row["chars"]]
            assert places == pytest.approx([getattr(c, end) for c in line.chars], abs=0.01)
    assert read_all(reader, [str(tmp_path / "in")], str(tmp_path / "out")) == []


def test_pictures_upside_down_are_turned_if_asked(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = load_image(Path(__file__).parents[3] / "docs" / "samples" / "latin.jpg", "bgr")
    for name, degrees in (("a.png", 0), ("b.png", 180)):
        cv2.imwrite(str(tmp_path / "in" / name), rotated(picture, degrees))
    given, out = [str(tmp_path / "in")], str(tmp_path / "out")
    read_all(pack("latin", Decoding(), turn="auto"), given, out)
    assert [row["turned"] for row in rows(out)] == [0, 180]
    assert len({row["text"] for row in rows(out)}) == 1
    with pytest.raises(CrnnError, match="--turn"):
        read_all(pack("latin", Decoding()), given, out)


def test_tar_archives_hold_pictures_beside_other_files(reader: Reader, tmp_path: Path) -> None:
    names = [f"{n:03d}.png" for n in range(15)]
    write_tar(tmp_path / "a.tar", names)
    write_tar(tmp_path / "b.tar.gz", names[:2], "w:gz")
    read_all(reader, [str(tmp_path)], str(tmp_path / "out"))
    found = rows(tmp_path / "out")
    places = [("a.tar", name) for name in names] + [("b.tar.gz", name) for name in names[:2]]
    assert [row["path"] for row in found] == [str(tmp_path / a / b) for a, b in places]
    assert [row["text"] for row in found] == texts(15) + texts(2)


def test_a_tar_archive_that_breaks_off_is_an_error_after_what_it_has(
    reader: Reader, tmp_path: Path
) -> None:
    write_tar(tmp_path / "a.tar", [f"{n}.png" for n in range(9)])
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.tar").write_bytes(b"")
    read_all(reader, [str(tmp_path)], str(tmp_path / "out"))
    *good, bad, empty = rows(tmp_path / "out")
    assert 2 <= len(good) < 9
    assert [row["text"] for row in good] == texts(len(good))
    assert bad["path"] == str(tmp_path / "a.tar")
    assert f" {len(good)} pictures" in bad["error"]
    assert " 0 pictures" in empty["error"]


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_a_link_in_a_tar_archive_costs_its_own_row_only(
    reader: Reader, tmp_path: Path, kind: bytes
) -> None:
    link, folder = tarfile.TarInfo("0b.png"), tarfile.TarInfo("folder.png")
    link.type, link.linkname, folder.type = kind, "0.png", tarfile.DIRTYPE
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number, image in enumerate(pictures()[:3]):
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(image)
            archive.addfile(member, io.BytesIO(image))
            if not number:
                archive.addfile(link)
                archive.addfile(folder)
    read_all(reader, [str(tmp_path / "a.tar")], str(tmp_path / "out"))
    first, linked, *others = rows(tmp_path / "out")
    assert [row["text"] for row in (first, *others)] == texts(3)
    assert linked["path"].endswith("/0b.png")
    assert_line(linked["error"], "link", "0.png")


@pytest.mark.parametrize("group", [7, 1000])
def test_parquet_is_cut_by_row_groups_and_small_ones_within(
    reader: Reader, tmp_path: Path, group: int
) -> None:
    columns = {"key": range(COUNT), "jpg": pictures()[:COUNT], "label": ["x"] * COUNT}
    parquet(tmp_path / "a.parquet", columns, row_group_size=group)
    outcomes = read_all(reader, [str(tmp_path)], str(tmp_path / "out"))
    assert len(outcomes) > 2
    assert [row["path"] for row in rows(tmp_path / "out")] == [str(n) for n in range(COUNT)]
    assert [row["text"] for row in rows(tmp_path / "out")] == texts(COUNT)


def test_large_row_groups_are_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "a.parquet", {"image": pictures()[:COUNT]}, row_group_size=20)
    monkeypatch.setattr(sources, "SLICED_BYTES", 1000)
    items = list(list_items([str(path)], Columns(), 10))
    assert [(item.group, item.first, item.lines) for item in items] == [(0, 0, 20), (1, 0, 3)]


def test_parquet_of_structs_and_of_rows_without_a_name(reader: Reader, tmp_path: Path) -> None:
    structs = [{"bytes": image, "path": f"{n}.png"} for n, image in enumerate(pictures()[:3])]
    parquet(tmp_path / "a.parquet", {"image": structs})
    plain = parquet(tmp_path / "b.parquet", {"image": pictures()[:3]}, row_group_size=2)
    read_all(reader, [str(tmp_path)], str(tmp_path / "out"))
    names = ["0.png", "1.png", "2.png", *(f"{plain}#{n}" for n in range(3))]
    assert [row["path"] for row in rows(tmp_path / "out")] == names
    assert [row["text"] for row in rows(tmp_path / "out")] == texts(3) * 2


def test_what_cannot_be_read_is_a_row_with_an_error(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.png").symlink_to("nowhere")
    (tmp_path / "c.png").write_bytes(pictures()[0])
    columns = {"id": ["x", "y", "z"], "img": pa.array([pictures()[0], None, b""], pa.binary())}
    parquet(tmp_path / "d.parquet", columns)
    (tmp_path / "e.parquet").write_bytes(b"PAR1 no parquet")
    (outcome, broken) = read_all(reader, [str(tmp_path)], str(tmp_path / "out"))
    assert (outcome.count.lines, outcome.count.unread) == (6, 4)
    assert (broken.count.lines, broken.count.unread) == (1, 1)
    errors = {row["path"].rpartition("/")[2]: row["error"] for row in rows(tmp_path / "out")}
    assert errors.pop("c.png") is errors.pop("x") is None
    assert "no picture" in errors.pop("y")
    assert "empty" in errors.pop("z")
    assert "No such file" in errors.pop("b.png")
    assert set(errors) == {"a.png", "e.parquet"}
    assert all(errors.values())


def test_fsspec_addresses_are_read_and_written(
    reader: Reader, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    for number in range(COUNT):
        memory.pipe_file(f"/in/{number:03d}.png", pictures()[number])
    memory.pipe_file("/in/notes.txt", b"no picture")
    write_tar(tmp_path / "a.tar", ["0.png"])
    memory.pipe_file("/in/more/a.tar", (tmp_path / "a.tar").read_bytes())
    read_all(reader, ["memory://in"], "memory://out")
    found = rows("memory://out")
    names = [f"memory:///in/{n:03d}.png" for n in range(COUNT)]
    assert [row["path"] for row in found] == [*names, "memory:///in/more/a.tar/0.png"]
    assert [row["text"] for row in found] == texts(COUNT) + texts(1)
    assert not [name for name in Store("memory://out").names() if name.endswith(".part")]
    read_all(reader, ["memory://in/*.png"], f"file://{tmp_path}/out")
    assert [row["path"] for row in rows(tmp_path / "out")] == names


def test_remote_names_are_no_patterns(
    reader: Reader, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    names = ["a[1].png", "b*.png", "c?.png"]
    for name, image in zip(names, pictures(), strict=False):
        memory.pipe_file(f"/in/{name}", image)
    read_all(reader, ["memory://in"], str(tmp_path / "all"))
    assert [row["text"] for row in rows(tmp_path / "all")] == texts(3)
    memory.rm("/in/[bc]*")
    read_all(reader, ["memory://in"], str(tmp_path / "one"))
    (found,) = rows(tmp_path / "one")
    assert (found["path"], found["text"]) == ("memory:///in/a[1].png", texts(1)[0])


def test_remote_pictures_that_vanish_are_rows(
    reader: Reader, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    for number in range(3):
        memory.pipe_file(f"/in/{number}.png", pictures()[number])
    begun = run.begin(reader, ["memory://in"], str(tmp_path), Columns(), 10)
    memory.rm("/in/1.png")
    assert begun.missing == [0]
    read_all(reader, ["memory://in"], str(tmp_path))
    errors = [row["error"] for row in rows(tmp_path)]
    assert [bool(error) for error in errors] == [False, True, False]
    assert "No such file" in errors[1]


def test_paths_that_are_not_utf8(reader: Reader, tmp_path: Path) -> None:
    name = b"line \xff \xe4\xba\xba.png".decode("utf-8", "surrogateescape")
    (tmp_path / name).write_bytes(pictures()[0])
    read_all(reader, [str(tmp_path)], str(tmp_path / "out"))
    (row,) = rows(tmp_path / "out")
    assert row["path"] == f"{tmp_path}/line \\udcff 人.png"
    assert row["text"] == texts(1)[0]


def test_parts_hold_so_many_lines_and_archives_are_alone() -> None:
    image, tar = Item("image", "a.png"), Item("tar", "a.tar", lines=None)
    group = Item("parquet", "a.parquet", 0, 0, 25)
    parts = list(to_parts([image, image, tar, image, group, image, image], 2))
    assert parts == [[image] * 2, [tar], [image], [group], [image] * 2]
