"""Foreign graphs that become files of this project, whatever their architecture."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from barcode import draw_barcode
from click.testing import CliRunner, Result
from foreign_reader import CLASSES, FIELDS, write_card, write_foreign_reader
from known_readers import KNOWN, find_file, find_reader
from refusals import assert_usage_error
from tiny_reader import tiny_model

from crnn_export.cli.export import main
from crnn_export.onnx_file import read_source
from crnn_runtime import Recognizer
from crnn_runtime.backends import OUTPUT_NAMES, open_backend
from crnn_runtime.model.card import HEADS
from crnn_runtime.model.engine_file import read_engine

TEXTS = ("0011223", "", "9876543210" * 4, "7")


def export(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def export_well(*arguments: object) -> Result:
    result = export(*arguments)
    assert result.exit_code == 0, result.output
    return result


def write_foreign_tiny(path: Path, opset: int = 18) -> Path:
    """The tiny reader, which has products with weights, as its classes' probabilities alone."""
    model = tiny_model(opset=opset)
    del model.graph.node[-2:], model.graph.output[:], model.metadata_props[:]
    output = onnx.helper.make_tensor_value_info("all_probs", 1, ["N", "T", CLASSES])
    model.graph.output.append(output)
    onnx.save(model, path)
    return path


def write_lines(folder: Path) -> Path:
    for number, text in enumerate(TEXTS):
        cv2.imwrite(str(folder / f"{number}.png"), draw_barcode(text))
    return folder


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    ("layout", "order", "gives", "blank"),
    [
        ("nchw", "ntc", "log-probs", 0),
        ("nhwc", "tnc", "logits", CLASSES - 1),
        ("nchw", "nct", "probs", 4),
        ("nhwc", "ntc", "probs", 0),
    ],
)
def test_every_interface_reads_as_before_with_every_head(
    tmp_path: Path, head: str, layout: str, order: str, gives: str, blank: int
) -> None:
    model = write_foreign_reader(
        tmp_path / "x.onnx", layout=layout, order=order, gives=gives, blank=blank
    )
    graph = {"layout": layout, "order": order, "gives": gives}
    card = write_card(tmp_path / "card.json", blank=blank, graph=graph)
    out = tmp_path / "own.onnx"
    export_well(model, "--card", card, "--head", head, "--topk", 3, "--out", out)
    own = read_source(out).card
    assert (own.graph, own.blank, own.head) == (None, 0, head)
    assert own.export["parity"]["flips"] == 0
    images = [draw_barcode(text) for text in TEXTS]
    with Recognizer(model, card=card) as before, Recognizer(out) as after:
        for line, expected in zip(after.read(images), before.read(images), strict=True):
            assert (line.text, line.raw) == (expected.text, expected.raw)
            assert line.confidence == pytest.approx(expected.confidence, abs=1e-5)
    with open_backend(out) as backend:
        outputs = backend.infer(np.zeros((2, 1, 32, 64), np.float32))
    assert tuple(outputs) == OUTPUT_NAMES[head]


def test_a_graph_that_takes_one_width_only_keeps_it(tmp_path: Path) -> None:
    model = write_foreign_reader(tmp_path / "x.onnx", size=("n", 1, 32, 160))
    card = write_card(tmp_path / "card.json", min_width=160, max_width=160)
    out = tmp_path / "own.onnx"
    export_well(model, "--card", card, "--out", out)
    assert read_source(out).card.only_width == 160
    with Recognizer(out) as recognizer:
        assert recognizer.read([draw_barcode("34567")])[0].text == "34567"


def test_names_of_ours_in_the_foreign_graph_do_no_harm(tmp_path: Path) -> None:
    model = onnx.load(write_foreign_reader(tmp_path / "x.onnx", layout="nhwc"))
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [{"x": "images", "rows": "ids"}.get(name, name) for name in names]
    model.graph.input[0].name = "images"
    onnx.save(model, tmp_path / "x.onnx")
    card = write_card(tmp_path / "card.json", graph={"layout": "nhwc"})
    export_well(tmp_path / "x.onnx", "--card", card, "--out", tmp_path / "own.onnx")
    with Recognizer(tmp_path / "own.onnx") as recognizer:
        assert recognizer.read([draw_barcode("12")])[0].text == "12"


@pytest.mark.parametrize("precision", ["fp16", "int8-cpu"])
def test_precisions_are_gated_as_for_our_own(tmp_path: Path, precision: str) -> None:
    model = write_foreign_tiny(tmp_path / "tiny.onnx")
    # The weights as another exporter has them: Constant nodes.
    graph = onnx.load(model)
    constants = [
        onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in graph.graph.initializer
    ]
    nodes = [*constants, *graph.graph.node]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.node.extend(nodes)
    onnx.save(graph, model)
    card = write_card(tmp_path / "card.json", graph={"gives": "probs"})
    arguments = (model, "--card", card, "--precision", precision, "--data", write_lines(tmp_path))
    result = export_well(*arguments, "--max-cer-loss", 1)
    assert f"{precision} against fp32 on {len(TEXTS)} lines" in result.output
    assert read_source(tmp_path / f"tiny.{precision}.onnx").card.precision == precision
    assert read_source(tmp_path / "tiny.fp32.onnx").card.precision == "fp32"
    before = sorted(tmp_path.iterdir())
    result = export(*arguments, "--max-cer-loss", -1, "--out", tmp_path / "new.onnx")
    assert result.exit_code == 2
    assert "costs" in result.stderr
    assert {*tmp_path.iterdir()} - {*before} == {tmp_path / "new.fp32.onnx"}


def test_it_goes_on_to_an_engine(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    model = write_foreign_tiny(tmp_path / "tiny.onnx")
    card = write_card(tmp_path / "card.json", graph={"gives": "probs"})
    export_well(model, "--card", card, "--to", "trt", "--flavour", "rtx", "--opt-level", 0)
    engine, record = read_engine(tmp_path / "tiny.trt")
    assert (engine.graph, record.precision) == (None, "fp32")


@pytest.mark.parametrize("plain", [(), ("--plain",)])
def test_it_goes_on_to_a_server(tmp_path: Path, plain: tuple[str, ...]) -> None:
    model = write_foreign_reader(tmp_path / "x.onnx", gives="logits")
    card = write_card(tmp_path / "card.json", graph={"gives": "logits"})
    repository = tmp_path / "models"
    result = export_well(model, "--card", card, "--to", "triton", repository, *plain)
    written = [line for line in result.output.splitlines() if line.startswith("Wrote")]
    assert len(written) == 1  # what lay elsewhere on the way is gone
    assert str(repository / "x" / "1") in written[0]
    name = "model.onnx" if plain else "reader.onnx"
    with Recognizer(repository / "x" / "1" / name) as recognizer:
        assert recognizer.read([draw_barcode("4711")])[0].text == "4711"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "models", "x.onnx"]


def test_an_alphabet_alone_is_enough_for_readers_of_ppocr(tmp_path: Path) -> None:
    model = write_foreign_reader(tmp_path / "rec.onnx", gives="probs", size=("n", 3, 48, "w"))
    graph = onnx.load(model)
    graph.graph.name = "PaddlePaddle Graph 0"
    onnx.save(graph, model)
    dictionary = tmp_path / "dict.txt"
    dictionary.write_text("\n".join("012345678"), encoding="utf-8")
    export_well(model, "--alphabet", dictionary, "--out", tmp_path / "own.onnx")
    card = read_source(tmp_path / "own.onnx").card
    assert "".join(card.alphabet) == "012345678 "
    assert (card.height, card.min_width, card.color) == (48, 320, "bgr")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in KNOWN]
)
def test_readers_as_others_publish_them(name: str, tmp_path: Path) -> None:
    """Old opsets, Constant nodes, numbers of 8 bits, outputs of unknown shape."""
    model = find_reader(name)
    dictionary = KNOWN[name].dictionary
    alphabet = None if dictionary is None else find_file(KNOWN[name], dictionary)
    own = tmp_path / "own.onnx"
    export_well(model, *(("--alphabet", alphabet) if alphabet else ()), "--out", own)
    assert read_source(own).card.num_classes == KNOWN[name].classes
    samples = sorted((Path(__file__).parents[2] / "docs" / "samples").glob("*.[jp]*g"))
    assert len(samples) == 3
    with Recognizer(model, alphabet=alphabet) as before, Recognizer(own) as after:
        pairs = zip(before.read(samples), after.read(samples), strict=True)
        assert all(one.text == two.text != "" for one, two in pairs)


def refused(tmp_path: Path, *arguments: object, names: tuple[object, ...] = ()) -> None:
    """The command ends in one line, and no file is new or changed."""
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = export(*arguments)
    assert_usage_error(result, *names)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("to", [(), ("--to", "triton", "{folder}/models")])
@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"alphabet": "012"}, ("4", "11")),
        ({"height": 48}, ("32", "48")),
        ({"color": "rgb", "mean": [0.5] * 3, "std": [0.5] * 3}, ("1 channels", "3")),
        ({"graph": {"gives": "logits"}}, ("probs",)),
        ({"graph": {"order": "nct", "gives": "probs"}}, ()),
        ({"blank": 12}, ("12",)),
        ({"num_classes": 7}, ("7", "11")),
    ],
)
def test_a_card_that_contradicts_the_file(
    tmp_path: Path, fields: dict[str, object], names: tuple[str, ...], to: tuple[str, ...]
) -> None:
    model = write_foreign_reader(tmp_path / "x.onnx", gives="probs")
    card = write_card(tmp_path / "card.json", **({"graph": {"gives": "probs"}} | fields))
    where = [part.format(folder=tmp_path) for part in to] or ["--out", tmp_path / "own.onnx"]
    refused(tmp_path, model, "--card", card, *where, names=("x.onnx", *names))


def test_a_card_beside_the_one_in_the_file(tmp_path: Path) -> None:
    onnx.save(tiny_model(), tmp_path / "own.onnx")
    card = write_card(tmp_path / "card.json")
    for more in (("--precision", "fp16"), ("--to", "triton", tmp_path / "models")):
        refused(tmp_path, tmp_path / "own.onnx", "--card", card, *more, names=("--card",))


@pytest.mark.parametrize("axes", [["n", 2], ["n", 1, "h", "w"]])
@pytest.mark.parametrize("has_card", [True, False])
def test_detectors_and_classifiers_are_no_readers(
    tmp_path: Path, axes: list[int | str], has_card: bool
) -> None:
    """A classifier's two numbers a picture, and a detector's map of one."""
    nodes = [onnx.helper.make_node("Sigmoid", ["x"], ["y"])]
    if len(axes) == 2:
        nodes = [onnx.helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0)]
    graph = onnx.helper.make_graph(
        nodes,
        "PaddlePaddle Graph",
        [onnx.helper.make_tensor_value_info("x", 1, ["n", 1, 32, "w"])],
        [onnx.helper.make_tensor_value_info("y", 1, axes)],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "x.onnx"
    )
    card = write_card(tmp_path / "card.json")
    given = ("--card", card) if has_card else ()
    refused(
        tmp_path, tmp_path / "x.onnx", *given, "--out", tmp_path / "own.onnx", names=("x.onnx",)
    )


def test_it_does_not_write_over_what_it_reads(tmp_path: Path) -> None:
    model = write_foreign_reader(tmp_path / "x.onnx")
    card = write_card(tmp_path / "card.json")
    refused(tmp_path, model, "--card", card, names=("--out",))


def test_a_batch_that_is_fixed_within_the_graph(tmp_path: Path) -> None:
    """Freeing the declared batch is not enough: a shape within it says 1."""
    model = onnx.load(write_foreign_reader(tmp_path / "x.onnx", size=(1, 1, 32, "w")))
    nodes = [
        *model.graph.node[:-1],
        onnx.helper.make_node("Reshape", ["ntc", "fixed"], ["again"]),
        onnx.helper.make_node("Identity", ["again"], ["y"]),
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    shape = np.array([1, -1, CLASSES])
    model.graph.initializer.append(onnx.numpy_helper.from_array(shape, "fixed"))
    onnx.save(model, tmp_path / "x.onnx")
    card = write_card(tmp_path / "card.json")
    refused_with_output = export(tmp_path / "x.onnx", "--card", card, "--out", tmp_path / "y.onnx")
    assert refused_with_output.exit_code == 2
    assert "Traceback" not in refused_with_output.output
    assert not (tmp_path / "y.onnx").exists()
    # One that is only declared is freed.
    write_foreign_reader(tmp_path / "x.onnx", size=(1, 1, 32, "w"))
    export_well(tmp_path / "x.onnx", "--card", card, "--out", tmp_path / "y.onnx")
    with Recognizer(tmp_path / "y.onnx", batch_size=3) as recognizer:
        lines = recognizer.read([draw_barcode(text) for text in ("1", "2", "3")])
        assert [line.text for line in lines] == ["1", "2", "3"]


def test_the_card_tells_where_the_graph_came_from(tmp_path: Path) -> None:
    model = write_foreign_reader(tmp_path / "x.onnx")
    fields = {**FIELDS, "arch": "house", "training": {"by": "somebody"}}
    (tmp_path / "card.json").write_text(json.dumps(fields), encoding="utf-8")
    card = tmp_path / "card.json"
    export_well(model, "--card", card, "--out", tmp_path / "own.onnx")
    found = read_source(tmp_path / "own.onnx").card
    assert (found.arch, found.training) == ("house", {"by": "somebody"})
    assert len(found.hashes["source"]) == 64
