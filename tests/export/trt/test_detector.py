"""``crnn-export DETECTOR --to trt``: a real build, which needs no GPU."""

from pathlib import Path

import pytest
from refusals import refused

pytest.importorskip("tensorrt_rtx", reason="the extra rtx is not installed")

from click.testing import CliRunner
from tiny_detector import detector_card, write_bar_reader, write_detector

from crnn_export.cli.export import main
from crnn_export.trt.detector import build_detector
from crnn_runtime.backends.cuda_device import device_count
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.engine_file import Profile, Range, read_detector_engine


def square(side: int) -> Profile:
    return Profile(Range(1, 1, 1), Range(side, side, side))


def test_an_engine_of_one_canvas_and_its_sidecar(tmp_path: Path) -> None:
    source = write_detector(tmp_path / "det.onnx")
    info = build_detector(source, tmp_path / "det.trt", side=300, flavour="rtx")
    card, record = read_detector_engine(tmp_path / "det.trt")
    assert (card, record) == (info.card, info.record)
    assert card.replace(versions={}) == detector_card()
    assert record.profiles == (square(352),)  # 300, a margin of 16 around, a multiple of 32
    assert record.flavour == "rtx"
    assert (record.verified == {}) == (device_count() == 0)


def test_a_detector_of_one_size_keeps_it(tmp_path: Path) -> None:
    source = write_detector(tmp_path / "det.onnx", size=320)
    build_detector(source, tmp_path / "det.trt", flavour="rtx")
    assert read_detector_engine(tmp_path / "det.trt")[1].profiles == (square(320),)


def test_the_command(tmp_path: Path) -> None:
    source = write_detector(tmp_path / "det.onnx")
    out = tmp_path / "det.trt"
    arguments = [str(source), "--to", "trt", "--flavour", "rtx", "--side", "200"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert out.is_file()
    assert read_detector_engine(out)[1].profiles == (square(256),)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--to trt"),
        (["repository", "--to", "triton"], "--to trt"),
        (["--to", "trt", "--precision", "fp16"], "fp32"),
        (["--to", "trt", "--profile", "32:320:512"], "--side"),
        (["--to", "trt", "--head", "topk"], "--head"),
    ],
)
def test_what_a_detector_has_no_use_for(tmp_path: Path, arguments: list[str], named: str) -> None:
    source = write_detector(tmp_path / "det.onnx")
    done = CliRunner().invoke(main, [str(source), *arguments])
    assert done.exit_code == 2
    assert named in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["det.onnx"]


def test_a_reader_is_no_detector(tmp_path: Path) -> None:
    reader = write_bar_reader(tmp_path / "bars.onnx")
    with refused(reader, kind=ModelError):
        build_detector(reader, tmp_path / "x.trt", flavour="rtx")
    done = CliRunner().invoke(main, [str(reader), "--to", "trt", "--side", "300"])
    assert done.exit_code == 2
    assert "--side" in done.output
    with pytest.raises(CrnnError, match="side"):
        build_detector(write_detector(tmp_path / "det.onnx"), tmp_path / "x.trt", side=1)
