"""The way of docs/tutorial.md, in small: photographs, labels, a training, an engine, a reading."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from doc_pages import blocks_of, pattern_of
from known_readers import KNOWN, find_file
from processes import listening

httpx = pytest.importorskip("httpx", reason="the extra label is not installed")
pytest.importorskip("fastapi", reason="the extra label is not installed")

ROOT = Path(__file__).parents[2]
SERIF = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSerif.ttf"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def detector() -> Path:
    carrier = KNOWN["ppocrv6_tiny-int8"]
    assert carrier.detector is not None
    return find_file(carrier, carrier.detector)


@pytest.mark.parametrize("page", ["README.md", "docs/pages.md"])
def test_the_sample_page_is_read_as_shown(page: str, detector: Path) -> None:
    blocks = blocks_of(ROOT / page)
    commands = [command for block in blocks for command in block.commands]
    (shown,) = (each for each in commands if "--page docs/pages/receipt.jpg" in each.text)
    picture = ROOT / "docs/pages/receipt.jpg"
    said = run("crnn_runtime.cli.infer", "zh", "--page", picture, "--detector", detector)
    assert pattern_of(shown.output).fullmatch(said.replace("\f", "\n")), said


def run(module: str, *arguments: object) -> str:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def labelling(folder: Path, detector: Path) -> Iterator[Any]:
    command = [
        sys.executable, "-m", "crnn_serve.label.cli", str(folder), "--pages", "--reader", "latin",
        "--detector", str(detector), "--port", "0", "--threads", "1",
    ]  # fmt: skip
    with (
        listening(command) as (address, _),
        httpx.Client(base_url=address, headers={"origin": address}, timeout=60) as page,
    ):
        yield page


def label(page: Any, truth: dict[str, list[str]]) -> dict[str, str]:  # noqa: ANN401 (httpx)
    """Answer as somebody who sees the pictures: what is on the page and nearest to the reading."""
    given: dict[str, str] = {}
    shown = page.get("/api/next").json()
    while shown["line"] is not None or not shown["progress"]["all_read"]:
        line = shown["line"]
        if line is None or line["confidence"] is None:
            shown = page.get("/api/next").json()
            continue
        texts = truth[Path(line["path"].split("/")[0]).stem]
        nearest = max(texts, key=lambda text: SequenceMatcher(None, text, line["text"]).ratio())
        given[line["path"]] = nearest
        answer = {
            "key": line["key"], "version": line["version"], "kind": "text", "text": nearest,
            "window": "one",
        }  # fmt: skip
        shown = page.post("/api/answer", json=answer).json()
    return given


def test_from_photographs_to_a_reader(tmp_path: Path, detector: Path) -> None:
    photos, made = tmp_path / "photos", tmp_path / "receipts.onnx"
    drawn = ["--pages", "receipt", "--fonts", SERIF, "--alphabet", "latin"]
    run("crnn.cli.synth", *drawn, "--count", 3, "--out", photos)
    rows = [json.loads(row) for row in (photos / "pages.jsonl").read_text().splitlines()]
    truth = {Path(row["path"]).stem: [line["text"] for line in row["lines"]] for row in rows}
    with labelling(photos, detector) as page:
        given = label(page, truth)
    assert len(given) >= 0.8 * sum(map(len, truth.values()))
    lines = photos / "lines"
    written = "".join((lines / f"{side}.tsv").read_text() for side in ("train", "dev"))
    assert dict(row.split("\t") for row in written.splitlines()) == given
    train = ["--dataset-root", lines, "--init", ROOT / "examples/latin.pth", "--skip-bad"]
    runs = ["--directory", tmp_path / "run", "--max-steps", 2, "--batch-size", 8]
    run("crnn.cli.train", *train, *runs, "--workers", 0, "--gpu-id", -1)
    run("crnn_export.cli.export", "--ckpt", tmp_path / "run/last.pth", "--out", made)
    if importlib.util.find_spec("tensorrt_rtx"):  # builds without a GPU
        engine = made.with_suffix(".trt")
        run("crnn_export.cli.export", made, "--to", "trt", "--flavour", "rtx", "--out", engine)
        assert engine.with_name("receipts.trt.json").is_file()
    said = run(
        "crnn_runtime.cli.infer", made, "--page", photos / rows[0]["path"], "--json",
        "--detector", detector, "--least", 0,
    )  # fmt: skip
    page_read = json.loads(said)
    assert len(page_read["lines"]) >= 0.8 * len(rows[0]["lines"])
    assert any(line["text"] in truth["0000"] for line in page_read["lines"])
