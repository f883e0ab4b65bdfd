"""What ``crnn-bulk`` plans, fetches, writes and refuses; without Ray, workers are plain objects."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pytest.importorskip("fsspec", reason="the extra bulk is not installed")

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from bulk_lines import DISTINCT, MODEL, expected, pictures, write_lines
from click.testing import CliRunner

from crnn_runtime import CrnnError, Decoding
from crnn_serve.bulk import run, sources
from crnn_serve.bulk.cli import main
from crnn_serve.bulk.manifest import Manifest
from crnn_serve.bulk.model import Reader, pack
from crnn_serve.bulk.plan import Plan, to_parts
from crnn_serve.bulk.sources import Columns, Item, list_items
from crnn_serve.bulk.store import Store
from crnn_serve.bulk.worker import Job, Outcome, Worker

COUNT = 23


@pytest.fixture(scope="module")
def reader() -> Reader:
    return pack(MODEL, Decoding(), None)


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


def read_all(
    reader: Reader, inputs: list[str], out: str, lines_per_part: int = 10
) -> list[Outcome]:
    """A whole run with one worker of this process."""
    begun = run.begin(reader, inputs, out, Columns(), lines_per_part)
    worker = Worker(
        Job(
            reader=reader, out=begun.store.address, manifest=begun.manifest, device="cpu",
            threads=1, batch_size=None,
        )
    )  # fmt: skip
    return [worker.read(part) for part in begun.missing]


def rows(out: Path | str) -> list[dict[str, Any]]:
    store = Store(str(out))
    names = sorted(name for name in store.names() if name.startswith("part-"))
    return [row for name in names for row in pq.read_table(store.open(name)).to_pylist()]


def texts(count: int) -> list[str]:
    return [expected()[n % DISTINCT].text for n in range(count)]


def write_tar(path: Path, names: list[str], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for number, name in enumerate(names):
            for suffix, content in (("", pictures()[number]), (".txt", b"a label")):
                member = tarfile.TarInfo(name + suffix)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def parquet(path: Path, columns: dict[str, Any], **options: int) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


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
    assert bad["error"].startswith(f"cannot read the archive after {len(good)} pictures")
    assert empty["error"].startswith("cannot read the archive after 0 pictures")


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
    assert linked["error"].startswith("it is a link to 0.png: pack the files themselves")


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
    assert errors.pop("y") == "there is no picture in this row"
    assert errors.pop("z") == "image is empty (0 bytes)"
    assert errors.pop("b.png") == "cannot read the file: No such file or directory"
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
    assert errors == [None, "cannot read the file: No such file or directory", None]


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


def test_a_part_that_is_written_is_not_read_again(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", COUNT)
    out = str(tmp_path / "out")
    read_all(reader, [str(tmp_path / "in")], out)
    (tmp_path / "out" / "part-000001.parquet").unlink()
    before = (tmp_path / "out" / "part-000000.parquet").stat().st_mtime_ns
    assert [each.part for each in read_all(reader, [str(tmp_path / "in")], out)] == [1]
    assert (tmp_path / "out" / "part-000000.parquet").stat().st_mtime_ns == before
    assert [row["text"] for row in rows(out)] == texts(COUNT)


def test_what_killed_workers_left_is_swept(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", 3)
    out = tmp_path / "out"
    run.begin(reader, [str(tmp_path / "in")], str(out), Columns(), 10)
    (out / ".part-000000.parquet.0123abcd.part").write_bytes(b"half")
    run.begin(reader, [str(tmp_path / "in")], str(out), Columns(), 10)
    assert sorted(path.name for path in out.iterdir()) == ["_manifest.json", "_plan.parquet"]


def test_another_run_does_not_belong_in_the_same_folder(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", 12)
    inputs, out = [str(tmp_path / "in")], str(tmp_path / "out")
    read_all(reader, inputs, out)
    other = replace(reader, hashes={**reader.hashes, "model.onnx": "0" * 64})
    searching = replace(reader, decoding=Decoding(beam_width=4))
    for message, arguments in {
        "another model": (other, inputs, out, Columns(), 10),
        "other options of decoding (beam_width 8, now 4)": (
            searching, inputs, out, Columns(), 10,
        ),
        "other inputs": (reader, [*inputs, str(tmp_path / "in" / "more")], out, Columns(), 10),
        "other columns": (reader, inputs, out, Columns(image="img"), 10),
        "another --lines-per-part (10, now 9)": (reader, inputs, out, Columns(), 9),
    }.items():  # fmt: skip
        with pytest.raises(CrnnError) as raised:
            run.begin(*arguments)
        assert str(raised.value).startswith(f"{out} was begun with {message}")
        assert "\n" not in str(raised.value)


def test_a_folder_without_parts_begins_anew(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", 12)
    out = str(tmp_path / "out")
    run.begin(reader, [str(tmp_path / "in")], out, Columns(), 10)
    begun = run.begin(reader, [str(tmp_path / "in")], out, Columns(), 5)
    assert (begun.manifest.parts, begun.manifest.lines_per_part) == (3, 5)
    assert Manifest.read(Store(out)) == begun.manifest


def test_parts_of_a_run_are_no_pictures_of_the_next(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", 3)
    inputs = [str(tmp_path / "in")]
    read_all(reader, inputs, str(tmp_path / "in" / "out"))
    assert len(list((tmp_path / "in" / "out").glob("*.parquet"))) == 2  # plan and part
    for given in (str(tmp_path / "in"), f"file://{tmp_path}/in", f"local://{tmp_path}/in"):
        found = [item.source for item in list_items([given], Columns(), 10)]
        assert [name.rpartition(".")[2] for name in found] == ["png"] * 3


def test_an_interrupted_listing_begins_anew(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", 5)
    out = tmp_path / "out"
    run.begin(reader, [str(tmp_path / "in")], str(out), Columns(), 10)
    (out / "_manifest.json").unlink()  # which is written last
    write_lines(tmp_path / "in" / "more", 7)
    run.begin(reader, [str(tmp_path / "in")], str(out), Columns(), 10)
    plan = Plan(Store(str(out)))
    assert [len(plan[part]) for part in range(len(plan))] == [10, 2]


def test_a_machine_without_the_folders_says_so(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", 5)
    out = tmp_path / "out"
    begun = run.begin(reader, [str(tmp_path / "in")], str(out), Columns(), 10)
    job = Job(
        reader=reader, out=str(out), manifest=begun.manifest, device="cpu", threads=1,
        batch_size=None,
    )  # fmt: skip
    elsewhere = replace(job, out=str(tmp_path / "elsewhere"))
    assert "does not see the output folder" in Worker(elsewhere).read(0).problem
    another = replace(begun.manifest, run="another")
    assert (
        "does not see the output folder" in Worker(replace(job, manifest=another)).read(0).problem
    )
    gone = replace(begun.manifest, inputs=["/nowhere"])
    assert "does not see the input /nowhere" in Worker(replace(job, manifest=gone)).read(0).problem
    damaged = replace(reader, files={"model.onnx": b"half a model"})
    assert "arrived damaged" in Worker(replace(job, reader=damaged)).read(0).problem


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (["nowhere"], [], "nowhere: no such file or folder"),
        (["*.jpg"], [], "*.jpg: no such file or folder"),
        (["empty"], [], "empty: no picture, tar archive or Parquet file in it"),
        (["memory://nowhere"], [], "memory://nowhere: no such file or folder"),
        (["nothing://x"], [], "cannot use nothing://x: Protocol not known: nothing"),
        (["table.parquet"], [], "no column with pictures, it has a: name one with --image-column"),
        (["table.parquet"], ["--image-column", "b"], "no column b, it has a: name one with"),
        (["line.png"], ["--model", "nobody"], "nobody: no such file"),
        (["line.png"], ["--lm-weight", "2"], "--lm-weight balances a language model"),
        (["line.png"], ["--lexicon", "nowhere"], "cannot read lexicon nowhere"),
        (["line.png"], ["--device", "tpu"], "'tpu' is not one of 'cpu', 'cuda'"),
        (["line.png"], ["--num-workers", "0"], "0 is not in the range x>=1"),
    ],
)
def test_mistakes_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: list[str], options: list[str],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "line.png").write_bytes(pictures()[0])
    parquet(tmp_path / "table.parquet", {"a": [1]})
    done = CliRunner().invoke(main, [*inputs, "out", "--model", MODEL, *options])
    assert done.exit_code == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert message in line
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "line.png").write_bytes(pictures()[0])
    (tmp_path / "file").write_text("a file")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    parquet(foreign / "part-000000.parquet", {"a": [1]})
    for out, message in {
        str(tmp_path / "file"): "is a file: give a folder to write to",
        str(tmp_path / "file" / "out"): "cannot make the folder",
        "/proc/out": "cannot make the folder /proc/out: No such file or directory",
        str(foreign): "holds parts and no _manifest.json: give another folder",
    }.items():
        done = CliRunner().invoke(main, [str(tmp_path / "line.png"), out, "--model", MODEL])
        assert done.exit_code == 2
        assert message in done.stderr.splitlines()[-1]


def test_the_manifest_names_model_and_inputs(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", 5)
    out = tmp_path / "out"
    run.begin(reader, [str(tmp_path / "in")], str(out), Columns(), 10)
    manifest = json.loads((out / "_manifest.json").read_text())
    assert manifest["inputs"] == [str(tmp_path / "in")]
    assert manifest["hashes"] == dict(reader.hashes)
    assert manifest["parts"] == 1


def test_a_finished_folder_is_told_from_its_footers(reader: Reader, tmp_path: Path) -> None:
    """Nothing is read then, and Ray is not started."""
    write_lines(tmp_path / "in", COUNT)
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    inputs, out = [str(tmp_path / "in")], str(tmp_path / "out")
    read_all(reader, inputs, out, 5)
    done = CliRunner().invoke(main, [*inputs, out, "--model", MODEL, "--lines-per-part", "5"])
    assert done.exit_code == 1
    assert done.stdout.startswith(f"24 lines in {out}, 1 could not be read")
    assert done.stderr == "5 parts, 5 of them written before\n"


def test_a_damaged_part_is_named(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", 5)
    out = tmp_path / "out"
    read_all(reader, [str(tmp_path / "in")], str(out))
    (out / "part-000000.parquet").write_bytes(b"half")
    with pytest.raises(CrnnError, match=r"part-000000.parquet is damaged .*: remove it"):
        run.result(run.begin(reader, [str(tmp_path / "in")], str(out), Columns(), 10))
