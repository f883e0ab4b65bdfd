"""The kind of a model file is told by its content, whatever its name."""

import io
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
from barcode import barcode_card, write_barcode_reader
from hypothesis import given, settings
from hypothesis import strategies as st

from crnn_runtime import ModelError
from crnn_runtime.backends import open_backend
from crnn_runtime.model.model_file import demand, find_kind, is_foreign, kind_of


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "x" * 99)
    return buffer.getvalue()


SAFETENSORS = struct.pack("<Q", 2) + b"{}" + bytes(80)
KINDS = {
    b"ftrt" + bytes(80): "engine",
    b"vtrt" + bytes(80): "engine",
    archive("best/data.pkl", "best/data/0"): "checkpoint",
    pickle.dumps(3, protocol=2): "checkpoint",
    SAFETENSORS: "safetensors",
}
BROKEN = {
    "empty": b"",
    "a page": b"<!DOCTYPE html><title>404</title>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
    "a zip of anything": archive("readme.txt"),
    "half a zip": archive("best/data.pkl")[:60],
    "text": b"I am a model, believe me",
    "packed": b"\x1f\x8b\x08" + bytes(99),
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_barcode_reader(tmp_path_factory.mktemp("models") / "own.onnx")


@pytest.mark.parametrize("name", ["x", "x.onnx", "x.trt", "x.pth", "x.safetensors", "x.jpg"])
def test_the_content_tells(tmp_path: Path, reader: Path, name: str) -> None:
    path = tmp_path / name
    for content, kind in KINDS.items():
        path.write_bytes(content)
        assert kind_of(path) == kind
    shutil.copy(reader, path)
    assert kind_of(path) == "onnx"
    assert not is_foreign(path)
    with open_backend(path) as backend:
        assert backend.card == barcode_card()


@pytest.mark.parametrize("name", ["x", "x.onnx", "x.pth"])
@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_model_is_told_in_one_line(tmp_path: Path, name: str, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(BROKEN[what])
    with pytest.raises(ModelError) as caught:
        find_kind(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_file_that_is_cut_off_is_refused(reader: Path, share: float) -> None:
    data = reader.read_bytes()
    path = reader.with_name("cut.onnx")
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError) as caught:
        open_backend(path)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_told_with_the_names_that_are() -> None:
    with pytest.raises(ModelError, match=r"latin.*ppocrv6-tiny"):
        find_kind("lattin")


def test_a_folder_and_a_device_are_no_models(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(ModelError):
            kind_of(path)


@pytest.mark.parametrize("content", [SAFETENSORS, pickle.dumps(3, protocol=2)])
def test_weights_are_answered_with_what_makes_a_model_of_them(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "my best.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"crnn-export '.*my best.pth'"):
        open_backend(path)
    assert demand(path, "checkpoint", "safetensors") in ("checkpoint", "safetensors")
