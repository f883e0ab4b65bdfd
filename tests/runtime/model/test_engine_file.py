"""Facts about an engine that are known before TensorRT is asked."""

import json
from pathlib import Path

import fake_gpu
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_reader import tiny_card

from crnn_runtime import CrnnError, ModelError
from crnn_runtime.model.engine_file import (
    RTX_TARGETS,
    EngineRecord,
    Profile,
    Range,
    check_runs_here,
    mask_of,
    parse_header,
    read_engine,
    sidecar_path,
    targets_of,
)

PROFILES = (Profile(Range(1, 8, 64), Range(32, 320, 2048)),)


@pytest.fixture(params=["tensorrt", "rtx"])
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return write(tmp_path / "x.trt", flavour=request.param)


def write(path: Path, body: bytes = b"weights" * 100, **changes: object) -> Path:
    return fake_gpu.write_fake_engine(path, body, tiny_card(), PROFILES, **changes)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_engine(path)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_what_was_written_is_read(engine: Path) -> None:
    card, record = read_engine(engine)
    assert card == tiny_card()
    assert record.profiles == PROFILES
    assert record.targets == ("sm_86",)
    assert record.built_with.endswith(fake_gpu.VERSIONS[record.flavour])


def test_a_missing_engine_is_named(tmp_path: Path) -> None:
    assert "x.trt" in refusal(tmp_path / "x.trt")


def test_a_missing_sidecar_is_named(engine: Path) -> None:
    sidecar_path(engine).unlink()
    assert "x.trt.json" in refusal(engine)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" * 99, b"ftrt", b"vtrt" + bytes(9)])
def test_what_is_not_an_engine_is_named(engine: Path, content: bytes) -> None:
    engine.write_bytes(content)
    assert str(engine) in refusal(engine)


@pytest.mark.parametrize("size", [64, 100, 763])
def test_a_truncated_engine_is_named_with_both_sizes(engine: Path, size: int) -> None:
    engine.write_bytes(engine.read_bytes()[:size])
    message = refusal(engine)
    assert f"{size} bytes" in message
    assert "764" in message
    assert "truncated" in message


def test_an_engine_with_something_appended_is_refused(engine: Path) -> None:
    engine.write_bytes(engine.read_bytes() + b"metadata")
    assert "772 bytes" in refusal(engine)


def test_a_changed_engine_is_refused(engine: Path) -> None:
    data = bytearray(engine.read_bytes())
    data[-1] ^= 1
    engine.write_bytes(data)
    assert "SHA-256" in refusal(engine)


def test_a_sidecar_of_another_engine_is_refused(engine: Path, tmp_path: Path) -> None:
    flavour = read_engine(engine)[1].flavour
    other = write(tmp_path / "other.trt", b"weightz" * 100, flavour=flavour)
    sidecar_path(other).replace(sidecar_path(engine))
    assert "another engine" in refusal(engine)


def test_an_edited_sidecar_is_refused(engine: Path) -> None:
    side = sidecar_path(engine)
    content = json.loads(side.read_text("utf-8"))
    content["alphabet"] = "9876543210"
    side.write_text(json.dumps(content), "utf-8")
    assert "edited" in refusal(engine)


def test_a_sidecar_that_was_only_reformatted_is_the_same(engine: Path) -> None:
    side = sidecar_path(engine)
    before = read_engine(engine)
    content = dict(reversed(json.loads(side.read_text("utf-8")).items()))
    side.write_text(json.dumps(content, indent=4), "utf-8")
    assert read_engine(engine) == before


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"engine": 1}', "\udcff"])
def test_a_broken_sidecar_is_named(engine: Path, content: str) -> None:
    sidecar_path(engine).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert "x.trt.json" in refusal(engine)


def test_another_flavour_names_both_sides(tmp_path: Path) -> None:
    path = write(tmp_path / "x.trt", flavour="rtx")
    other = write(tmp_path / "y.trt", flavour="tensorrt")
    sidecar_path(other).replace(sidecar_path(path))
    message = refusal(path)
    assert "RTX" in message
    assert message.count("TensorRT") == 2


def test_a_sidecar_with_another_version_names_both(tmp_path: Path) -> None:
    path = write(tmp_path / "x.trt", flavour="rtx", version="1.6.0.9")
    message = refusal(path)
    assert fake_gpu.VERSIONS["rtx"] in message
    assert "1.6.0.9" in message


def test_a_sidecar_with_other_targets_names_both(tmp_path: Path) -> None:
    path = write(tmp_path / "x.trt", flavour="rtx", targets=("sm_89",))
    message = refusal(path)
    assert "sm_86" in message
    assert "sm_89" in message


def record_of(**changes: object) -> EngineRecord:
    fields = {
        "flavour": "rtx",
        "version": "1.7.1.116",
        "profiles": PROFILES,
        "size": 1,
        "sha256": "",
        "onnx_sha256": "",
    }
    return EngineRecord(**{**fields, **changes})


def test_builds_of_one_release_are_the_same_release() -> None:
    check_runs_here(Path("x.trt"), record_of(), "1.7.1.120", 120)


@pytest.mark.parametrize("version", ["1.7.2.116", "1.6.1.116", "2.0.0.1"])
def test_another_release_names_both(version: str) -> None:
    with pytest.raises(ModelError, match=rf"1\.7\.1\.116, .*{version}"):
        check_runs_here(Path("x.trt"), record_of(), version, 86)


def test_another_gpu_names_both() -> None:
    with pytest.raises(ModelError, match=r"sm_86, sm_89, .*sm_90"):
        check_runs_here(Path("x.trt"), record_of(targets=("sm_86", "sm_89")), "1.7.1.116", 90)


def test_an_engine_without_targets_serves_ampere_and_later() -> None:
    check_runs_here(Path("x.trt"), record_of(), "1.7.1.116", 90)
    with pytest.raises(ModelError, match=r"sm_80 .*sm_75"):
        check_runs_here(Path("x.trt"), record_of(), "1.7.1.116", 75)


@given(st.sets(st.sampled_from(RTX_TARGETS)))
def test_masks_and_targets_are_the_same(targets: set[str]) -> None:
    ordered = tuple(target for target in RTX_TARGETS if target in targets)
    assert targets_of(mask_of(ordered)) == ordered


@given(st.binary(max_size=200))
def test_any_bytes_have_a_header_or_none(data: bytes) -> None:
    header = parse_header(data)
    assert (header is not None) == (data[:4] in (b"ftrt", b"vtrt") and len(data) >= 64)


@given(st.lists(st.integers(1, 5000), min_size=3, max_size=3).map(sorted))
def test_a_range_is_read_as_it_is_written(values: list[int]) -> None:
    assert Range.parse(str(Range(*values))) == Range(*values)
    assert Range.parse(str(values[0])) == Range(values[0], values[0], values[0])


@pytest.mark.parametrize("text", ["8:4:2", "0:1:2", "1:2", "a:b:c", "", "1:2:3:4", "-1:2:3"])
def test_a_range_that_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(CrnnError, match="range"):
        Range.parse(text)
