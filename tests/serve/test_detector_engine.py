"""A detector's engine among the files that Triton and bulk workers get; it is not run."""

from pathlib import Path

import pytest

pytest.importorskip("tensorrt_rtx", reason="the extra rtx is not installed")
pytest.importorskip("pyarrow", reason="the extra bulk is not installed")
pytest.importorskip("fsspec", reason="the extra bulk is not installed")

from click.testing import CliRunner
from tiny_detector import write_bar_reader, write_detector

from crnn_export.cli.export import main as export
from crnn_export.trt.detector import build_detector
from crnn_runtime import CrnnError, Decoding, Detection
from crnn_runtime.page.reading import Reading
from crnn_serve.bulk.cli import main as bulk
from crnn_serve.bulk.model import pack
from crnn_serve.pages import Pages


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bar_reader(folder / "reader.onnx")
    source = write_detector(folder / "det.onnx")
    build_detector(source, folder / "det.trt", side=64, flavour="rtx")
    return folder


def test_on_triton_it_lies_beside_the_reader_and_runs_on_a_gpu(
    models: Path, tmp_path: Path
) -> None:
    def run(*options: str) -> int:
        pages = ["--to", "triton", str(tmp_path), "--pages", "--detector", str(models / "det.trt")]
        return CliRunner().invoke(export, [str(models / "reader.onnx"), *pages, *options]).exit_code

    assert run("--device", "cpu") == 2
    assert not list(tmp_path.iterdir())
    assert run() == 0
    folder = tmp_path / "reader-pages"
    names = {path.name for path in (folder / "1").iterdir()}
    assert names == {"model.py", "reader.onnx", "detector.trt", "detector.trt.json"}
    assert "KIND_GPU" in (folder / "config.pbtxt").read_text()


def test_bulk_workers_get_it_and_a_gpu(models: Path, tmp_path: Path) -> None:
    pages = Pages(detection=Detection(), reading=Reading())
    given = str(models / "reader.onnx"), Decoding()
    reader = pack(*given, pages=pages, detector=str(models / "det.trt"))
    assert reader.on_gpu
    assert reader.detector is not None
    assert reader.files[reader.detector] == (models / "det.trt").read_bytes()
    assert not pack(*given, pages=pages, detector=str(models / "det.onnx")).on_gpu
    arguments = ["in", str(tmp_path / "out"), "--model", str(models / "reader.onnx"), "--pages"]
    refused = CliRunner().invoke(
        bulk, [*arguments, "--detector", str(models / "det.trt"), "--device", "cpu"]
    )
    assert refused.exit_code == 2
    assert "--device" in refused.output


def test_without_its_sidecar_it_is_refused(models: Path, tmp_path: Path) -> None:
    (tmp_path / "det.trt").write_bytes((models / "det.trt").read_bytes())
    pages = Pages(detection=Detection(), reading=Reading())
    with pytest.raises(CrnnError, match=r"det\.trt\.json"):
        pack(
            str(models / "reader.onnx"),
            Decoding(),
            pages=pages,
            detector=str(tmp_path / "det.trt"),
        )
