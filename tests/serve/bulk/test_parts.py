"""Parts that ``crnn-bulk`` writes, goes on with and refuses; without Ray."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from refusals import refused

pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pytest.importorskip("fsspec", reason="the extra bulk is not installed")

from bulk_lines import MODEL, pictures, write_lines
from bulk_runs import parquet, read_all, rows, texts
from click.testing import CliRunner

from crnn_runtime import CrnnError, Decoding
from crnn_serve.bulk import run
from crnn_serve.bulk.cli import main
from crnn_serve.bulk.manifest import Manifest
from crnn_serve.bulk.model import Reader
from crnn_serve.bulk.plan import Plan
from crnn_serve.bulk.sources import Columns, list_items
from crnn_serve.bulk.store import Store
from crnn_serve.bulk.worker import Job, Worker

COUNT = 23


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
        "model": (other, inputs, out, Columns(), 10),
        "beam_width 8, now 4": (
            searching, inputs, out, Columns(), 10,
        ),
        "inputs": (reader, [*inputs, str(tmp_path / "in" / "more")], out, Columns(), 10),
        "columns": (reader, inputs, out, Columns(image="img"), 10),
        "--lines-per-part (10, now 9)": (reader, inputs, out, Columns(), 9),
    }.items():  # fmt: skip
        with refused(out, message):
            run.begin(*arguments)


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
    assert "elsewhere" in Worker(elsewhere).read(0).problem
    another = replace(begun.manifest, run="another")
    assert str(out) in Worker(replace(job, manifest=another)).read(0).problem
    gone = replace(begun.manifest, inputs=["/nowhere"])
    assert "/nowhere" in Worker(replace(job, manifest=gone)).read(0).problem
    damaged = replace(reader, files={"model.onnx": b"half a model"})
    assert "damaged" in Worker(replace(job, reader=damaged)).read(0).problem


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (["nowhere"], [], "nowhere"),
        (["*.jpg"], [], "*.jpg"),
        (["empty"], [], "empty: "),
        (["memory://nowhere"], [], "memory://nowhere"),
        (["nothing://x"], [], "nothing://x"),
        (["table.parquet"], [], "--image-column"),
        (["table.parquet"], ["--image-column", "b"], "no column b"),
        (["line.png"], ["--model", "nobody"], "nobody"),
        (["line.png"], ["--lm-weight", "2"], "--lm-weight"),
        (["line.png"], ["--lexicon", "nowhere"], "nowhere"),
        (["line.png"], ["--device", "tpu"], "'tpu'"),
        (["line.png"], ["--num-workers", "0"], "--num-workers"),
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
        str(tmp_path / "file"): "file",
        str(tmp_path / "file" / "out"): "out",
        "/proc/out": "/proc/out",
        str(foreign): "_manifest.json",
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
    assert done.stdout.startswith(f"24 lines in {out}, 1 ")
    assert done.stderr.startswith("5 parts, 5 ")


def test_a_damaged_part_is_named(reader: Reader, tmp_path: Path) -> None:
    write_lines(tmp_path / "in", 5)
    out = tmp_path / "out"
    read_all(reader, [str(tmp_path / "in")], str(out))
    (out / "part-000000.parquet").write_bytes(b"half")
    with pytest.raises(CrnnError, match=r"part-000000.parquet"):
        run.result(run.begin(reader, [str(tmp_path / "in")], str(out), Columns(), 10))
