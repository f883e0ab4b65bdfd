"""``crnn-bulk --pages``: a line of JSON for each page; without Ray but for one run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from refusals import refused

pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pytest.importorskip("fsspec", reason="the extra bulk is not installed")

from bulk_runs import read_all, write_tar
from click.testing import CliRunner
from tiny_detector import detector_card, draw_page, write_bar_reader, write_detector

from crnn_runtime import CrnnError, Decoding, Detection
from crnn_runtime.page.reading import Reading
from crnn_serve.bulk.cli import main
from crnn_serve.bulk.model import Pages, Reader, pack

TEXTS = {(40, 30): "3141", (40, 90): "592", (370, 92): "65"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bar_reader(folder / "reader.onnx")
    write_detector(folder / "det.onnx")
    return folder


def packed(models: Path, detector: str = "det.onnx", **changes: Any) -> Reader:  # noqa: ANN401
    pages = Pages(detection=Detection(**changes), reading=Reading())
    given = str(models / detector)
    return pack(str(models / "reader.onnx"), Decoding(), pages=pages, detector=given)


@pytest.fixture(scope="module")
def reader(models: Path) -> Reader:
    return packed(models)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pages with lines, a blank one, noise, and three files that are damaged."""
    place = tmp_path / "in"
    place.mkdir()
    for number in range(3):
        cv2.imwrite(str(place / f"a{number}.png"), draw_page(TEXTS | {(40, 150): str(number)}))
    cv2.imwrite(str(place / "blank.png"), np.full((300, 400, 3), 255, np.uint8))
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    cv2.imwrite(str(place / "noise.png"), noise)
    (place / "broken.png").write_bytes((place / "a0.png").read_bytes()[:200])
    (place / "nothing.jpg").write_bytes(b"")
    (place / "text.png").write_bytes(b"no picture")
    return place


def pages_of(out: Path) -> list[dict[str, Any]]:
    rows = [row for part in sorted(out.glob("part-*.jsonl")) for row in part.open()]
    return [json.loads(row) for row in rows]


def texts(page: dict[str, Any]) -> list[str]:
    return [line["text"] for line in page["lines"]]


def test_each_page_is_a_line_in_its_place_and_bad_ones_say_why(
    reader: Reader, folder: Path, tmp_path: Path
) -> None:
    outcomes = read_all(reader, [str(folder)], str(tmp_path / "out"), 3)
    assert [each.problem + each.defect for each in outcomes] == [""] * 3
    pages = pages_of(tmp_path / "out")
    assert [page["path"] for page in pages] == sorted(str(path) for path in folder.iterdir())
    found = {Path(page["path"]).name: page for page in pages}
    for number in range(3):
        assert texts(found[f"a{number}.png"]) == ["3141", "592", "65", str(number)]
    first = found["a0.png"]["lines"][0]
    assert np.array(first["polygon"]).min(0) == pytest.approx((40, 30), abs=5)
    assert found["blank.png"]["lines"] == []
    assert "error" not in found["blank.png"]
    assert "error" not in found["noise.png"]
    for name in ("broken.png", "nothing.jpg", "text.png"):
        assert found[name]["error"]
        assert found[name]["lines"] == []
    assert sum(each.count.lines for each in outcomes) == 8
    assert sum(each.count.unread for each in outcomes) == 3


def test_it_goes_on_where_it_was(reader: Reader, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    read_all(reader, [str(folder)], str(out), 3)
    whole = pages_of(out)
    (out / "part-000001.jsonl").unlink()
    (out / ".part-000001.jsonl.0123abcd.part").write_bytes(b"half")
    before = (out / "part-000000.jsonl").stat().st_mtime_ns
    assert [each.part for each in read_all(reader, [str(folder)], str(out), 3)] == [1]
    assert (out / "part-000000.jsonl").stat().st_mtime_ns == before
    assert pages_of(out) == whole
    assert not list(out.glob(".*"))


def test_other_options_or_another_detector_do_not_belong_in_the_folder(
    models: Path, reader: Reader, folder: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    read_all(reader, [str(folder)], out)
    with refused(out, "side"):
        read_all(packed(models, side=640), [str(folder)], out)
    write_detector(models / "other.onnx", card=detector_card().replace(threshold=0.4))
    with refused(out, "model"):
        read_all(packed(models, "other.onnx"), [str(folder)], out)
    lines = pack(str(models / "reader.onnx"), Decoding())
    with refused(out):
        read_all(lines, [str(folder)], out)


def test_pages_out_of_an_archive(reader: Reader, folder: Path, tmp_path: Path) -> None:
    write_tar(tmp_path / "pages.tar", ["x.png"])  # lines, taken as pages
    read_all(reader, [str(tmp_path / "pages.tar")], str(tmp_path / "out"))
    (page,) = pages_of(tmp_path / "out")
    assert page["path"].endswith("pages.tar/x.png")
    assert page["width"] > 0


def test_a_damaged_part_is_named(reader: Reader, folder: Path, tmp_path: Path) -> None:
    from crnn_serve.bulk import run
    from crnn_serve.bulk.sources import Columns

    out = tmp_path / "out"
    read_all(reader, [str(folder)], str(out))
    (out / "part-000000.jsonl").write_text('{"path": "half')
    begun = run.begin(reader, [str(folder)], str(out), Columns(), 10)
    with pytest.raises(CrnnError, match=r"part-000000\.jsonl"):
        run.result(begun)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--side", "640"], "--pages"),
        (["--pages", "--turn", "auto"], "--turn"),
        (["--pages", "--detector", "READER"], "reader.onnx"),
        (["--pages", "--detector", "nowhere.onnx"], "nowhere.onnx"),
        (["--pages", "--detector", "det.trt"], "det.trt"),
    ],
)
def test_mistakes(
    models: Path, folder: Path, tmp_path: Path, arguments: list[str], named: str
) -> None:
    model = str(models / "reader.onnx")
    given = [model if each == "READER" else each for each in arguments]
    done = CliRunner().invoke(main, [str(folder), str(tmp_path / "out"), "--model", model, *given])
    assert done.exit_code == 2
    assert named in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_command(models: Path, folder: Path, tmp_path: Path) -> None:
    """With Ray, in a process of its own: it reads its environment when it is imported."""
    pytest.importorskip("ray", reason="the extra bulk is not installed")
    command = [
        sys.executable, "-m", "crnn_serve.bulk.cli", str(folder), str(tmp_path / "out"),
        "--model", str(models / "reader.onnx"), "--pages",
        "--detector", str(models / "det.onnx"), "--num-workers", "1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("8 pages in")
    assert len(pages_of(tmp_path / "out")) == 8
