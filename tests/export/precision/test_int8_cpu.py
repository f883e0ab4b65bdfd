"""The classifier in int8, everything else as it was."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from barcode import draw_barcode
from click.testing import CliRunner
from onnx import numpy_helper
from refusals import assert_usage_error, refused
from tiny_reader import write_tiny_reader

from crnn_export.cli.export import main
from crnn_export.precision.gain import Gain, measure_gain
from crnn_export.precision.gate import convert_precision
from crnn_runtime.backends import open_backend

LINES = [draw_barcode(text)[:, :, None] for text in ("0123456789", "55", "9081726354")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("int8")
    source = write_tiny_reader(folder / "fp32.onnx")
    target = folder / "x.onnx"
    card, _ = convert_precision(source, target, "int8-cpu", lines=LINES, max_cer_loss=1)
    assert card.precision == "int8-cpu"
    return source, target


def test_only_the_classifier_is_quantised(files: tuple[Path, Path]) -> None:
    before, after = (onnx.load(path).graph for path in files)
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.initializer}
    for tensor in before.initializer:
        if tensor.name != "w2":
            np.testing.assert_array_equal(kept[tensor.name], numpy_helper.to_array(tensor))
    assert "w2" not in kept
    assert kept["w2_quantized"].dtype == np.int8
    assert np.abs(kept["w2_quantized"]).max() <= 64  # 7 bits, for CPUs without VNNI
    assert kept["w2_scale"].shape == (11,)  # one a class
    kinds = [node.op_type for node in after.node]
    assert (kinds.count("QuantizeLinear"), kinds.count("DequantizeLinear")) == (1, 2)


def test_a_line_does_not_depend_on_its_neighbours(files: tuple[Path, Path]) -> None:
    generator = np.random.default_rng(0)
    images = generator.standard_normal((5, 1, 32, 64), np.float32) * 3
    images[1:] *= 100  # neighbours that would move a scale taken from the batch
    with open_backend(files[1], threads=1) as backend:
        alone, together = backend.infer(images[:1]), backend.infer(images)
    np.testing.assert_array_equal(alone["ids"][0], together["ids"][0])
    np.testing.assert_allclose(alone["probs"][0], together["probs"][0], atol=1e-6)


def test_a_gain_of_nothing_is_said_so(files: tuple[Path, Path]) -> None:
    """The classifier of ten digits is next to nothing, and its scales take more than it saves."""
    gain = measure_gain(*files, "int8-cpu", LINES)
    assert gain.after > 0.95 * gain.before
    assert gain.time is not None
    assert gain.time > 0
    assert str(Gain(100, 96, 0.96)).startswith("none")
    assert str(Gain(100, 50, 1.2)).startswith("smaller, but not faster")
    for worth in (Gain(100, 96, 0.9), Gain(100, 50, 0.9), Gain(100, 50)):
        assert not str(worth).startswith(("none", "smaller, but"))
    assert measure_gain(*files, "fp16", LINES).time is None  # a CPU does not gain on it


def test_it_is_close_to_float32(files: tuple[Path, Path]) -> None:
    images = np.random.default_rng(0).uniform(0, 1, (3, 1, 32, 160)).astype(np.float32)
    with open_backend(files[0]) as exact, open_backend(files[1]) as reduced:
        one, two = exact.infer(images), reduced.infer(images)
    assert np.abs(one["ids"] - two["ids"]).max() <= 1
    assert (one["probs"] != two["probs"]).any()


def test_it_is_refused_where_it_is_of_no_use(files: tuple[Path, Path], tmp_path: Path) -> None:
    with refused("int8-cpu"):
        convert_precision(files[0], tmp_path / "x.onnx", "int8-cpu")
    arguments = [str(files[0]), "--precision", "int8-cpu", "--data", str(tmp_path)]
    result = CliRunner().invoke(main, [*arguments, "--to", "trt", "--out", str(tmp_path / "x.trt")])
    assert_usage_error(result, "int8-cpu")
    arguments = [str(files[1]), "--to", "trt", "--out", str(tmp_path / "x.trt")]
    result = CliRunner().invoke(main, arguments)
    assert_usage_error(result, "int8-cpu", "fp32")
