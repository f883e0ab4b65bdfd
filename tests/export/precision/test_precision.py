"""Precisions of the graph, measured with ONNX Runtime and built with TensorRT for RTX."""

import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from barcode import draw_barcode
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from refusals import refused
from tiny_reader import tiny_card, tiny_model, write_tiny_reader

from crnn.model import build_model, default_card
from crnn_export.precision.gate import PrecisionError, convert_precision
from crnn_export.precision.measure import error_rate, measure
from crnn_export.precision.modelopt import emulate_bf16
from crnn_export.to_onnx import export_onnx
from crnn_export.trt import build_engine
from crnn_runtime import Alphabet, CrnnError, MissingDependencyError
from crnn_runtime.backends import open_backend
from crnn_runtime.errors import install_command
from crnn_runtime.model.engine_file import Profile, Range

SMALL = (Profile(Range(1, 2, 4), Range(32, 64, 128)),)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    source = random.Random(0)
    return ["".join(source.choices("0123456789", k=source.randint(1, 12))) for _ in range(20)]


@pytest.fixture(scope="module")
def lines(texts: list[str]) -> list[NDArray[np.uint8]]:
    return [draw_barcode(text)[:, :, None] for text in texts]


@pytest.fixture
def fp32(tmp_path: Path) -> Path:
    return write_tiny_reader(tmp_path / "fp32.onnx")


def types_of_weights(path: Path) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}


def test_fp16_reads_the_same(
    fp32: Path, tmp_path: Path, texts: list[str], lines: list[NDArray[np.uint8]]
) -> None:
    card, agreement = convert_precision(
        fp32, tmp_path / "x.onnx", "fp16", lines=lines, truths=texts
    )
    assert agreement.lines == len(lines)
    assert agreement.texts_differing == 0
    assert agreement.cer == agreement.cer_fp32 == agreement.cer_loss == 0
    assert 0 < agreement.max_difference < 0.1  # it is another arithmetic, and was compared
    assert agreement.steps >= sum(map(len, texts))
    assert card.precision == "fp16"
    assert card.export["precision"] == agreement.summary()
    with open_backend(tmp_path / "x.onnx") as backend:
        assert backend.card == card


def test_fp16_keeps_inputs_outputs_and_softmax_in_float32(fp32: Path, tmp_path: Path) -> None:
    convert_precision(fp32, tmp_path / "x.onnx", "fp16")
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "x.onnx"))
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
    assert kinds["images"] == kinds["probs"] == kinds["all_probs"] == TensorProto.FLOAT
    products = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul")]
    assert len(products) == 3
    assert {kinds[node.output[0]] for node in products} == {TensorProto.FLOAT16}
    weights = types_of_weights(tmp_path / "x.onnx")
    assert {weights[name] for name in ("w0", "w1", "w2", "b2")} == {TensorProto.FLOAT16}


def test_without_lines_noise_is_compared_and_said(fp32: Path, tmp_path: Path) -> None:
    _, agreement = convert_precision(fp32, tmp_path / "x.onnx", "fp16")
    assert agreement.lines == 0
    assert agreement.steps > 100
    assert "no real lines" in str(agreement)


def test_int8_has_symmetric_scales_per_channel(
    fp32: Path, tmp_path: Path, lines: list[NDArray[np.uint8]]
) -> None:
    convert_precision(
        fp32, tmp_path / "x.onnx", "int8", lines=lines, quantise_ends=True, max_cer_loss=1
    )
    graph = onnx.load(tmp_path / "x.onnx").graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantised = [node for node in graph.node if node.op_type == "DequantizeLinear"]
    weights = [node for node in quantised if node.input[0] in values]
    assert sorted(values[node.input[1]].size for node in weights) == [11, 32, 32]
    assert {values[node.input[0]].dtype for node in weights} == {np.dtype(np.int8)}
    assert len(quantised) == 6  # and one activation for each of the three
    assert not any(values[node.input[2]].any() for node in quantised if len(node.input) > 2)


def test_int8_leaves_the_ends_in_fp16(
    fp32: Path, tmp_path: Path, lines: list[NDArray[np.uint8]], texts: list[str]
) -> None:
    card, agreement = convert_precision(
        fp32, tmp_path / "x.onnx", "int8", lines=lines, truths=texts
    )
    kinds = types_of_weights(tmp_path / "x.onnx")
    assert kinds["w0"] == kinds["w2"] == TensorProto.FLOAT16
    assert "w1" not in kinds
    assert kinds["w1_quantized"] == TensorProto.INT8
    assert card.precision == "int8"
    assert agreement.cer == 0  # and not by chance: the engine of test_engine_* has the type


def test_int8_without_lines_is_refused(fp32: Path, tmp_path: Path) -> None:
    with pytest.raises(CrnnError, match="--data"):
        convert_precision(fp32, tmp_path / "x.onnx", "int8")
    assert not (tmp_path / "x.onnx").exists()


def test_a_loss_beyond_the_gate_writes_nothing(
    fp32: Path, tmp_path: Path, lines: list[NDArray[np.uint8]]
) -> None:
    with pytest.raises(PrecisionError, match="--max-cer-loss"):
        convert_precision(
            fp32, tmp_path / "x.onnx", "int8", lines=lines, quantise_ends=True, max_cer_loss=-1
        )
    assert [path.name for path in tmp_path.iterdir()] == ["fp32.onnx"]


def test_an_overflow_is_an_error(tmp_path: Path) -> None:
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name in ("w0", "w1"):  # the same function, by way of 1e6
            factor = {"w0": 1e6, "w1": 1e-6}[tensor.name]
            values = numpy_helper.to_array(tensor) * np.float32(factor)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "fp32.onnx")
    line = draw_barcode("0123456789")[:, :, None]
    with refused("fp16"):
        convert_precision(tmp_path / "fp32.onnx", tmp_path / "x.onnx", "fp16", lines=[line])
    assert [path.name for path in tmp_path.iterdir()] == ["fp32.onnx"]


@pytest.mark.skipif(find_spec("modelopt") is not None, reason="Model Optimizer is installed")
@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_without_model_optimizer_the_extra_is_named(
    fp32: Path, tmp_path: Path, lines: list[NDArray[np.uint8]], precision: str
) -> None:
    with pytest.raises(MissingDependencyError, match=precision) as error:
        convert_precision(fp32, tmp_path / "x.onnx", precision, lines=lines)
    assert install_command("modelopt") in str(error.value)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["fp32.onnx"]


@pytest.mark.parametrize(("precision", "kind"), [("bf16", "BFloat16"), ("fp8", "FP8")])
def test_model_optimizer_makes_the_others(
    fp32: Path,
    tmp_path: Path,
    texts: list[str],
    lines: list[NDArray[np.uint8]],
    precision: str,
    kind: str,
) -> None:
    pytest.importorskip("modelopt.onnx.autocast", exc_type=ImportError)
    pytest.importorskip("tensorrt_rtx")
    card, agreement = convert_precision(
        fp32, tmp_path / "x.onnx", precision, lines=lines, truths=texts, max_cer_loss=1
    )
    assert card.precision == precision
    assert agreement.max_difference > 0
    info = build_engine(tmp_path / "x.onnx", tmp_path / "x.trt", flavour="rtx", profiles=SMALL)
    assert info.record.precision == precision
    assert info.record.weights[kind] > 8000


def test_bf16_is_emulated_by_rounding() -> None:
    """The CPU cannot run bf16: what is measured rounds every tensor to 8 bits of mantissa."""
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(ml_dtypes.bfloat16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    model.graph.node[0].input[0] = "rounded"
    cast = helper.make_node("Cast", ["images"], ["rounded"], to=TensorProto.BFLOAT16)
    model.graph.node.insert(0, cast)
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info("result", TensorProto.FLOAT, ["N", "T", 11])
    )
    del model.graph.node[9:]
    model.graph.node.append(helper.make_node("Cast", ["logits"], ["result"], to=TensorProto.FLOAT))
    emulated = emulate_bf16(model)
    session = ort.InferenceSession(emulated.SerializeToString())
    images = np.random.default_rng(0).random((1, 1, 32, 64), np.float32)
    (logits,) = session.run(None, {"images": images})
    assert (logits.view(np.uint32) & 0xFFFF == 0).all()  # what float32 has and bf16 has not
    (exact,) = ort.InferenceSession(tiny_logits().SerializeToString()).run(None, {"images": images})
    assert 0 < np.abs(logits - exact).max() < np.abs(exact).max() / 20


def tiny_logits() -> onnx.ModelProto:
    model = tiny_model()
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", "T", 11])
    )
    del model.graph.node[8:]
    return model


@pytest.mark.parametrize("precision", ["int4", "fp32"])
def test_other_precisions_are_refused_in_one_line(
    fp32: Path, tmp_path: Path, precision: str
) -> None:
    with pytest.raises(CrnnError, match=precision) as error:
        convert_precision(fp32, tmp_path / "x.onnx", precision)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["fp32.onnx"]


def test_a_reduced_file_is_not_reduced_again(fp32: Path, tmp_path: Path) -> None:
    convert_precision(fp32, tmp_path / "half.onnx", "fp16")
    with refused("half.onnx", "fp16"):
        convert_precision(tmp_path / "half.onnx", tmp_path / "x.onnx", "fp16")


def test_labels_must_fit_the_lines(
    fp32: Path, tmp_path: Path, lines: list[NDArray[np.uint8]]
) -> None:
    with refused("20", "1"):
        convert_precision(fp32, tmp_path / "x.onnx", "fp16", lines=lines, truths=["1"])


def test_the_measure_sees_another_model(
    fp32: Path, tmp_path: Path, lines: list[NDArray[np.uint8]], texts: list[str]
) -> None:
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "b2":  # every class is taken for its neighbour
            values = np.roll(numpy_helper.to_array(tensor), 1)
            tensor.CopyFrom(numpy_helper.from_array(values, "b2"))
    onnx.save(model, tmp_path / "other.onnx")
    agreement = measure(fp32, tmp_path / "other.onnx", tiny_card(), lines, texts)
    assert agreement.texts_differing > len(lines) / 2
    assert agreement.cer_fp32 == 0
    assert agreement.cer is not None
    assert agreement.cer == agreement.cer_loss == agreement.cer_between > 0.3


def test_error_rate() -> None:
    assert error_rate(["abc", "d"], ["abd", ""]) == 0.5
    assert error_rate([""], [""]) == 0
    assert error_rate([""], ["xy"]) == 2


@pytest.mark.parametrize(
    ("precision", "ends", "types"),
    [("fp16", False, {"Half"}), ("int8", True, {"Int8"}), ("int8", False, {"Int8", "Half"})],
)
def test_engines_have_the_precision_of_their_graph(
    fp32: Path,
    tmp_path: Path,
    lines: list[NDArray[np.uint8]],
    precision: str,
    ends: bool,
    types: set[str],
) -> None:
    pytest.importorskip("tensorrt_rtx")
    convert_precision(
        fp32, tmp_path / "x.onnx", precision, lines=lines, quantise_ends=ends, max_cer_loss=1
    )
    info = build_engine(tmp_path / "x.onnx", tmp_path / "x.trt", flavour="rtx", profiles=SMALL)
    assert info.record.precision == precision
    total = sum(info.record.weights.values())
    assert {kind for kind, count in info.record.weights.items() if count > 0.1 * total} == types


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_recurrent_reader_of_reduced_precision_does_not_end_the_process(
    precision: str, tmp_path: Path, lines: list[NDArray[np.uint8]]
) -> None:
    card = default_card("vgg_bilstm", Alphabet("0123456789"))
    export_onnx(build_model("vgg_bilstm", card.num_classes), card, tmp_path / "fp32.onnx")
    file = tmp_path / "reduced.onnx"
    # Random weights read nothing: what they lose says nothing.
    convert_precision(tmp_path / "fp32.onnx", file, precision, lines=lines, max_cer_loss=100.0)
    # In a process of its own: what is tested for is the end of it.
    program = f"from crnn_runtime import Recognizer; Recognizer({str(file)!r})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
