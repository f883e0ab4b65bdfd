import sys
from pathlib import Path

import cv2
import pytest
from barcode import draw_barcode, write_labelled
from tiny_reader import write_tiny_reader

from crnn_benchmarks.cases.peers import (
    Contender,
    measure_peers,
    own_contender,
    peer_contender,
)
from crnn_benchmarks.harness.datasets import load_lines
from crnn_benchmarks.harness.models import Subject
from crnn_benchmarks.peers import PEERS, RUNNER, prepare, python_of

DYING = """
import os, signal
def open_reader(options):
    def read(path):
        if path.endswith("17.png"):
            os.kill(os.getpid(), signal.SIGABRT)
        return "0"
    return read, {"version": "0.1", "model": "dying", "size": 5}
"""


def silent(_: str) -> None:
    pass


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(write_labelled(tmp_path / "digits_here", [*map(str, range(20))]))


def test_ours_is_read_beside_peers_that_fail_in_every_way(
    tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = tmp_path / "peers"
    peers.mkdir()
    (peers / "runner.py").write_text(RUNNER.read_text())
    (peers / "peer_dying.py").write_text(DYING)
    (peers / "peer_crnn.py").write_text(RUNNER.with_name("peer_crnn.py").read_text())
    monkeypatch.setattr("crnn_benchmarks.cases.peers.RUNNER", peers / "runner.py")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"none")
    dying = Contender("dying", sys.executable, "peer_dying", {})
    dying.open()
    contenders = [
        peer_contender("ddddocr", "/no/such/python", None, 1),
        peer_contender("rapidocr", sys.executable, None, 1),  # no such file in this folder
        dying,
        own_contender(Subject(name="broken.onnx", file=str(broken)), 1),
        own_contender(
            Subject(name="tiny.onnx", file=str(write_tiny_reader(tmp_path / "tiny.onnx"))), 1
        ),
    ]
    with load_lines(data) as lines:
        rows = [read.row for read in measure_peers(contenders, [lines], 1, silent)]
    assert "/no/such/python" in (rows[0].problem or "")
    assert "--prepare" in (rows[0].problem or "")
    assert "FileNotFoundError" in (rows[1].problem or "")
    assert "SIGABRT" in (rows[2].problem or "")
    assert rows[2].model.name == "dying 0.1"
    assert "ONNX" in (rows[3].problem or "")
    assert not any(row.scores for row in rows[:4])
    ours = rows[4]
    assert ours.problem is None
    assert ours.scores["exact"].value == 1
    assert ours.seconds is not None
    assert ours.cpu is not None
    assert ours.memory > 10**7
    assert (ours.backend, ours.threads, ours.precision) == ("alone", 1, "fp32")


def test_a_peer_that_is_not_installed_is_reported_as_missing(data: str) -> None:
    contender = peer_contender("rapidocr-onnxruntime", sys.executable, None, 1)
    contender.close()
    assert "'rapidocr_onnxruntime'" in (contender.problem or "")


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_has_its_file_and_says_how_to_get_it(name: str) -> None:
    peer = PEERS[name]
    assert RUNNER.with_name(f"{peer.module}.py").is_file()
    assert bool(peer.extra) != bool(peer.system)
    if peer.extra:
        wanted = peer.requirements()
        assert any(
            requirement.startswith(name.split("==", maxsplit=1)[0]) for requirement in wanted
        )
        assert all("=" in requirement for requirement in wanted)  # bounded or pinned


def test_a_peers_environment_is_preferred(tmp_path: Path) -> None:
    assert python_of("ddddocr", tmp_path) == sys.executable
    python = tmp_path / "ddddocr" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert python_of("ddddocr", tmp_path) == str(python)
    assert python_of("tesseract", tmp_path) == sys.executable
    assert "apt install" in prepare("tesseract", tmp_path)


def test_tesseract_reads_a_line_if_it_is_there(tmp_path: Path) -> None:
    contender = peer_contender("tesseract", sys.executable, None, 1)
    if contender.problem is not None:
        assert "apt install tesseract-ocr" in contender.problem
        contender.close()
        pytest.skip(contender.problem)
    page = 255 - cv2.putText(
        cv2.cvtColor(draw_barcode("")[:, :1].repeat(400, 1), cv2.COLOR_GRAY2BGR) * 0,
        "Hello 123", (20, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2,
    )  # fmt: skip
    (tmp_path / "lines").mkdir()
    cv2.imwrite(str(tmp_path / "lines" / "a.png"), page)
    (tmp_path / "lines" / "labels.tsv").write_text("a.png\tHello 123\n")
    with load_lines(str(tmp_path / "lines")) as lines:
        (read,) = measure_peers([contender], [lines], 1, silent)
    assert read.texts == ["Hello 123"]
