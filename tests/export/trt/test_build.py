import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from fake_cuda import FakeCuda, stand_in
from onnx import TensorProto, helper
from tiny_reader import tiny_card, tiny_model, write_tiny_reader

from crnn_export.trt import build, build_engine, options
from crnn_runtime import CrnnError, ModelError
from crnn_runtime.backends.cuda_device import device_count
from crnn_runtime.model.engine_file import Profile, Range, parse_header, read_engine, targets_of

pytest.importorskip("tensorrt_rtx")

SMALL = (Profile(Range(1, 2, 4), Range(32, 64, 128)),)


def one_line(error: pytest.ExceptionInfo[CrnnError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_engine_and_sidecar_describe_each_other(tiny_onnx: Path, tmp_path: Path) -> None:
    info = build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx")
    card, record = read_engine(tmp_path / "x.trt")
    assert (card, record) == (info.card, info.record)
    assert card.alphabet.characters == tuple("0123456789")
    assert (record.flavour, record.precision, record.evidence) == ("rtx", "fp32", "build log")
    assert (record.verified == {}) == (device_count() == 0)
    assert sum(record.weights.values()) == pytest.approx(32 * 16 + 32 * 32 * 8 + 32 * 11, rel=0.1)
    assert record.profiles == (Profile(Range(1, 8, 64), Range(32, 320, 2048)),)
    assert record.activation_bytes > 64 * 8 * 8 * 512 * 4  # the first layer's output
    assert record.size == (tmp_path / "x.trt").stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.trt", "x.trt.json"]


def test_several_profiles_are_read_back(tiny_onnx: Path, tmp_path: Path) -> None:
    profiles = (Profile(Range(1, 1, 1), Range(32, 320, 2048)), *SMALL)
    info = build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=profiles)
    assert info.record.profiles == profiles
    one = build_engine(tiny_onnx, tmp_path / "y.trt", flavour="rtx", profiles=profiles[:1])
    weights, alone = (sum(each.record.weights.values()) for each in (info, one))
    assert weights == pytest.approx(alone, rel=0.01)  # in memory once, however many profiles
    assert info.record.activation_bytes >= one.record.activation_bytes  # of the largest


def test_targets_are_in_the_header(tiny_onnx: Path, tmp_path: Path) -> None:
    info = build_engine(
        tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=SMALL, targets=("8.9", "SM86")
    )
    header = parse_header((tmp_path / "x.trt").read_bytes())
    assert header is not None
    assert header.targets is not None
    assert targets_of(header.targets) == info.record.targets == ("sm_86", "sm_89")


def test_a_target_that_cannot_run_the_graph_is_refused_before_the_build(
    tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    with pytest.raises(CrnnError, match="fp16") as error:
        build_engine(
            tiny_onnx,
            tmp_path / "x.trt",
            flavour="rtx",
            targets=("sm_75",),
            progress=lambda _, share: seen.append(share),
        )
    one_line(error)
    assert seen == []
    monkeypatch.setattr(build, "check_precision", lambda *_: None)
    with pytest.raises(ModelError, match="SM75") as error:  # TensorRT says so, too
        build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", targets=("sm_75",))
    one_line(error)
    assert list(tmp_path.iterdir()) == []


def test_where_a_gpu_is_the_build_is_for_it_alone(
    tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device_count():
        info = build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=SMALL)
        assert info.record.options["target"] == "current"
        return
    monkeypatch.setattr(options, "device_count", lambda: 1)
    for module in (options, build):
        monkeypatch.setattr(module, "capability", lambda _: 86)
    # The library looks for the GPU that it is to build for, and finds none.
    with pytest.raises(ModelError, match="generateForCurrent"):
        build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=SMALL)
    build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=SMALL, targets=("sm_86",))


def test_a_gpu_that_rtx_does_not_serve_builds_for_others(
    tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = FakeCuda()
    cuda.capability = (9, 0)
    monkeypatch.setattr("tensorrt_rtx.Runtime", None)  # nothing is loaded here
    with stand_in(monkeypatch, cuda):  # of CUDA alone: the library is the real one
        info = build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=SMALL)
    assert (info.record.targets, info.record.evidence) == ((), "build log")
    assert "sm_90" in info.record.verified["reason"]
    assert cuda.is_empty


@pytest.mark.parametrize("target", ["sm_90", "H100", "", "sm_999"])
def test_an_unknown_target_is_refused(tiny_onnx: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(CrnnError, match="sm_86"):
        build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", targets=(target,))


def test_the_progress_rises_to_the_end(tiny_onnx: Path, tmp_path: Path) -> None:
    seen: list[float] = []
    build_engine(
        tiny_onnx,
        tmp_path / "x.trt",
        flavour="rtx",
        profiles=SMALL,
        progress=lambda _, share: seen.append(share),
    )
    assert seen == sorted(seen)
    assert len(seen) > 10
    assert seen[-1] == 1.0


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "ONNX"),
        (b"\x00\x01garbage" * 99, "ONNX"),
        (None, "cannot read"),
    ],
)
def test_what_is_not_onnx_is_refused(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=expected) as error:
        build_engine(path, tmp_path / "x.trt", flavour="rtx")
    assert str(path) in one_line(error)
    assert not (tmp_path / "x.trt").exists()


def no_card(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def other_outputs(model: onnx.ModelProto) -> None:
    del model.graph.output[:]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", "T", 12])
    model.graph.output.append(logits)


def frozen_width(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 280


def frozen_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def other_height(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 48


def future_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Swish2000"
    model.graph.node[1].domain = "nobody"
    model.opset_import.append(helper.make_opsetid("nobody", 1))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (no_card, "card"),
        (other_outputs, "logits"),
        (frozen_width, "280"),
        (frozen_batch, "batch"),
        (other_height, r"expected \[N, 1, 32, W\]"),
        (future_opset, "99"),
        (unknown_operator, "Swish2000"),
    ],
)
def test_an_unfit_graph_is_refused(
    tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], expected: str
) -> None:
    model = tiny_model()
    spoil(model)
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(ModelError, match=expected) as error:
        build_engine(tmp_path / "x.onnx", tmp_path / "x.trt", flavour="rtx", profiles=SMALL)
    one_line(error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.onnx"]


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ((), "no profile"),
        (SMALL * 2, "twice"),
        ((Profile(Range(1, 1, 1), Range(4096, 4096, 4096)),), "beyond"),
    ],
)
def test_profiles_that_contradict_are_refused(
    tiny_onnx: Path, tmp_path: Path, profiles: tuple[Profile, ...], expected: str
) -> None:
    with pytest.raises(CrnnError, match=expected):
        build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=profiles)


def test_a_precision_that_the_graph_does_not_have_is_refused(
    tmp_path: Path,
) -> None:
    write_tiny_reader(tmp_path / "x.onnx", tiny_card(precision="fp16"))
    with pytest.raises(ModelError, match=r"fp32 .*fp16"):
        build_engine(tmp_path / "x.onnx", tmp_path / "x.trt", flavour="rtx", profiles=SMALL)
    assert not (tmp_path / "x.trt").exists()


def test_a_missing_folder_is_found_before_the_build(tiny_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(CrnnError, match="no folder"):
        build_engine(tiny_onnx, tmp_path / "nowhere" / "x.trt", flavour="rtx")


def test_the_card_says_how_wide_the_engine_reads(tmp_path: Path) -> None:
    write_tiny_reader(tmp_path / "x.onnx", tiny_card(max_width=4000))
    profiles = (Profile(Range(1, 1, 1), Range(32, 320, 1000)),)
    info = build_engine(tmp_path / "x.onnx", tmp_path / "x.trt", flavour="rtx", profiles=profiles)
    assert info.card.max_width == 960  # the widest bucket within 1000 pixels


def test_a_fixed_width_is_the_default_profile(tmp_path: Path) -> None:
    write_tiny_reader(tmp_path / "x.onnx", tiny_card(width=280))  # between two buckets
    info = build_engine(tmp_path / "x.onnx", tmp_path / "x.trt", flavour="rtx")
    assert info.record.profiles == (Profile(Range(1, 8, 64), Range(280, 280, 280)),)
    assert read_engine(tmp_path / "x.trt")[0].width == 280


def test_an_older_engine_survives_a_failure(tiny_onnx: Path, tmp_path: Path) -> None:
    build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=SMALL)
    before = read_engine(tmp_path / "x.trt")
    (tmp_path / "bad.onnx").write_bytes(b"")
    with pytest.raises(ModelError):
        build_engine(tmp_path / "bad.onnx", tmp_path / "x.trt", flavour="rtx")
    assert read_engine(tmp_path / "x.trt") == before


def test_a_full_disk_leaves_nothing(tiny_onnx: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # bytes a file may have
    try:
        with pytest.raises(CrnnError, match=r"x\.trt") as error:
            build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    one_line(error)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_stops_the_build_and_leaves_nothing(tiny_onnx: Path, tmp_path: Path) -> None:
    shares = []

    def interrupt(_: str, share: float) -> None:
        if not shares:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # the builder is still busy when the signal is handled
        shares.append(share)

    with pytest.raises(KeyboardInterrupt):
        build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", progress=interrupt)
    assert max(shares) < 1  # TensorRT gave up, it did not finish
    assert list(tmp_path.iterdir()) == []
    build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=SMALL)


def test_a_progress_callback_that_fails_fails_the_build(tiny_onnx: Path, tmp_path: Path) -> None:
    def broken(_: str, share: float) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", progress=broken)
    assert list(tmp_path.iterdir()) == []


def test_a_timing_cache_is_refused_by_rtx(tiny_onnx: Path, tmp_path: Path) -> None:
    cache = tmp_path / "timing.cache"
    with pytest.raises(CrnnError, match=r"timing\.cache"):
        build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", timing_cache=cache)
    assert list(tmp_path.iterdir()) == []


def test_tf32_is_off_unless_asked(tiny_onnx: Path, tmp_path: Path) -> None:
    for tf32 in (False, True):
        build_engine(tiny_onnx, tmp_path / "x.trt", flavour="rtx", profiles=SMALL, tf32=tf32)
        plan = (tmp_path / "x.trt").read_bytes()
        assert (b"tf32=1" in plan) == tf32
