"""ONNX files without an ONNX library: metadata, and weights that lie beside the model."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from barcode import draw_barcode
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_reader import tiny_model

from crnn_runtime import ModelError, Recognizer
from crnn_runtime.model.card import METADATA_KEY
from crnn_runtime.model.onnx_bytes import NotOnnxError, metadata_of, read_metadata, self_contained


def write_apart(path: Path, model: onnx.ModelProto | None = None) -> Path:
    """A model whose weights are in ``<name>.data`` beside it, as PyTorch's exporter writes it."""
    onnx.save(
        model or tiny_model(),
        path,
        save_as_external_data=True,
        location=f"{path.name}.data",
        size_threshold=0,
        convert_attribute=True,
    )
    return path


def other_model() -> onnx.ModelProto:
    """The same with the classes in another order."""
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name in ("w2", "b2"):
            values = np.flip(onnx.numpy_helper.to_array(tensor), -1).copy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return model


def test_weights_beside_a_model_are_put_into_it(tmp_path: Path) -> None:
    path = write_apart(tmp_path / "x.onnx")
    whole = onnx.load_from_string(self_contained(path))
    onnx.checker.check_model(whole)
    expected = {t.name: onnx.numpy_helper.to_array(t) for t in tiny_model().graph.initializer}
    assert {t.name for t in whole.graph.initializer} == expected.keys()
    for tensor in whole.graph.initializer:
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), expected[tensor.name])
    assert read_metadata(path) == {p.key: p.value for p in whole.metadata_props}
    assert METADATA_KEY in read_metadata(path)


def test_a_file_without_others_stays_as_it_is(tmp_path: Path) -> None:
    onnx.save(tiny_model(), tmp_path / "x.onnx")
    assert self_contained(tmp_path / "x.onnx") == (tmp_path / "x.onnx").read_bytes()


def test_weights_are_looked_for_beside_the_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, model in ((here, other_model()), (there, tiny_model())):
        folder.mkdir()
        write_apart(folder / "x.onnx", model)
    monkeypatch.chdir(here)  # where another model's weights have the same name
    with Recognizer(there / "x.onnx", threads=1) as recognizer:
        assert recognizer.read([draw_barcode("314")])[0].text == "314"
    with Recognizer(Path("../there/x.onnx"), threads=1) as recognizer:
        assert recognizer.read([draw_barcode("314")])[0].text == "314"


def test_weights_that_are_missing_cut_off_or_elsewhere(tmp_path: Path) -> None:
    path = write_apart(tmp_path / "x.onnx")
    weights = tmp_path / "x.onnx.data"
    content = weights.read_bytes()
    weights.write_bytes(content[:-10])
    with pytest.raises(ModelError, match=r"x\.onnx\.data") as cut:
        Recognizer(path)
    weights.unlink()
    with pytest.raises(ModelError, match=r"x\.onnx\.data") as missing:
        Recognizer(path)
    shutil.copy(path, tmp_path / "y.onnx")
    data = (tmp_path / "y.onnx").read_bytes()
    (tmp_path / "y.onnx").write_bytes(data.replace(b"x.onnx.data", b"../etc/pass"))
    with pytest.raises(ModelError, match=r"\.\./etc/pass") as outside:
        Recognizer(tmp_path / "y.onnx")
    assert not any("\n" in str(each.value) for each in (cut, missing, outside))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_model_or_refused(data: bytes) -> None:
    with contextlib.suppress(NotOnnxError):
        assert isinstance(metadata_of(data), dict)
