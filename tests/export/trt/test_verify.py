"""An engine that was built is run before it is written, where there is a GPU."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import fake_gpu
import ml_dtypes
import numpy as np
import onnx
import pytest
from engine_checks import PROFILES, refusal
from fake_tensorrt import FakeContext, FakeEngine
from onnx import helper, numpy_helper
from tiny_detector import write_detector
from tiny_reader import tiny_card, tiny_model, write_tiny_reader

from crnn_export.cli.engine import describe_engine
from crnn_export.onnx_file import read_source, save_reader
from crnn_export.precision.modelopt import emulate_bf16
from crnn_export.trt import build, build_engine, detector
from crnn_export.trt.build import EngineInfo
from crnn_export.trt.builder import Buildable, BuildOptions
from crnn_export.trt.readback import EngineFacts
from crnn_export.trt.verify import verify_plan
from crnn_runtime import ModelError
from crnn_runtime.backends import cuda_device
from crnn_runtime.model.engine_file import (
    EngineRecord,
    Flavour,
    Profile,
    Range,
    read_engine,
    sidecar_path,
)

Outputs = dict[str, np.ndarray]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_gpu.FakeGpu]:
    yield fake_gpu.install(monkeypatch, PROFILES)
    monkeypatch.undo()
    fake_gpu.uninstall()


@pytest.fixture
def without_a_builder(monkeypatch: pytest.MonkeyPatch, gpu: fake_gpu.FakeGpu) -> None:
    """A build that gives the stand-in's engine."""

    def built(source: object, *_: object) -> tuple[bytes, EngineFacts]:
        return fake_gpu.fake_plan(source.data), EngineFacts(profiles=PROFILES)  # type: ignore[attr-defined]

    monkeypatch.setattr(build, "build_plan", built)


def build_tiny(folder: Path, **changes: object) -> EngineRecord:
    """Build an engine of the tiny reader with the stand-in."""
    source = write_tiny_reader(folder / "x.onnx", tiny_card(**changes))
    info = build_engine(source, folder / "x.trt", flavour="tensorrt", profiles=PROFILES)
    assert "run on this GPU" in describe_engine(info)
    return info.record


@pytest.mark.usefixtures("without_a_builder")
def test_what_was_run_is_in_the_sidecar(gpu: fake_gpu.FakeGpu, tmp_path: Path) -> None:
    record = build_tiny(tmp_path)
    assert read_engine(tmp_path / "x.trt")[1] == record
    found = json.loads(sidecar_path(tmp_path / "x.trt").read_text("utf-8"))["engine"]["verified"]
    assert found["equal"] == 1.0
    assert found["difference"] < 1e-6
    assert found["shapes"] == 6  # the least, best and largest of two profiles
    assert found["reference"].startswith("onnxruntime ")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.onnx", "x.trt", "x.trt.json"]
    assert gpu.cuda.is_empty


def test_every_corner_runs_in_its_own_profile(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where `plan_calls` would choose another, which serves the shape better."""
    profiles = tuple(
        Profile(batch, width)
        for width in (Range(32, 64, 128), Range(64, 96, 128))
        for batch in (Range(1, 1, 1), Range(1, 8, 16))
    )
    gpu.profiles = profiles
    source = read_source(write_tiny_reader(tmp_path / "x.onnx"))
    ran = []
    execute = FakeContext.execute_async_v3

    def record(self: FakeContext, stream: int) -> bool:
        assert self.shape is not None
        ran.append((self.profile, self.shape[0], self.shape[3]))
        return execute(self, stream)

    monkeypatch.setattr(FakeContext, "execute_async_v3", record)
    fields = {"size": 1, "sha256": "", "onnx_sha256": "", "targets": ("sm_86",)}
    engine = EngineRecord(
        flavour="tensorrt", version=fake_gpu.VERSIONS["tensorrt"], profiles=profiles, **fields
    )  # type: ignore[arg-type]
    verify_plan(fake_gpu.fake_plan(source.data), source, source.card, engine)
    assert ran == [
        (index, getattr(profile.batch, end), getattr(profile.width, end))
        for index, profile in enumerate(profiles)
        for end in ("min", "opt", "max")
    ]
    assert gpu.cuda.is_empty


def wrong_in_large_batches(outputs: Outputs) -> Outputs:
    if len(outputs["ids"]) < 8:
        return outputs
    return {**outputs, "ids": (outputs["ids"] + 1) % 10}


def wrong_in_one_row(outputs: Outputs) -> Outputs:
    ids = outputs["ids"].copy()
    ids[-1] = 0
    return {**outputs, "ids": ids}


def no_numbers(outputs: Outputs) -> Outputs:
    return {**outputs, "probs": np.full_like(outputs["probs"], np.nan)}


def too_sure(outputs: Outputs) -> Outputs:
    return {**outputs, "probs": outputs["probs"] * 0 + 1}


@pytest.mark.usefixtures("without_a_builder")
@pytest.mark.parametrize("spoil", [wrong_in_large_batches, wrong_in_one_row, no_numbers, too_sure])
def test_an_engine_that_reads_something_else_is_not_written(
    gpu: fake_gpu.FakeGpu,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Outputs], Outputs],
) -> None:
    right = FakeEngine.compute
    monkeypatch.setattr(FakeEngine, "compute", lambda self, images: spoil(right(self, images)))
    assert "reads something else" in refusal(build_tiny, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["x.onnx"]
    assert gpu.cuda.is_empty


@pytest.mark.usefixtures("without_a_builder")
def test_an_engine_that_cannot_run_its_largest_shape_is_not_written(
    gpu: fake_gpu.FakeGpu, tmp_path: Path
) -> None:
    gpu.cuda.limit = 200_000
    assert "out of memory" in refusal(build_tiny, tmp_path)
    assert not (tmp_path / "x.trt").exists()


@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_fp16_is_recommended_for_int8_of_rtx(flavour: Flavour, precision: str) -> None:
    record = EngineRecord(
        flavour=flavour, version="1", profiles=PROFILES, size=1, sha256="", onnx_sha256=""
    )
    card = tiny_card(precision=precision)
    words = describe_engine(EngineInfo(Path("x.trt"), Path("x.trt.json"), card, record, 1.0))
    assert ("--precision fp16" in words) == ((flavour, precision) == ("rtx", "int8"))


@pytest.mark.parametrize(
    ("evidence", "weights", "claimed"),
    [
        (
            "inspector",
            {"Float": 9},
            "precision fp32, read back from the inspector (9 Float weights)",
        ),
        ("partial", {"Float": 1}, "precision unknown: TensorRT lists less than half"),
        ("none", {}, "precision unknown: TensorRT lists no weights"),
    ],
)
def test_no_precision_is_claimed_that_was_not_read_back(
    evidence: str, weights: dict[str, int], claimed: str
) -> None:
    record = EngineRecord(
        flavour="rtx", version="1", profiles=PROFILES, size=1, sha256="", onnx_sha256="",
        precision="fp32", evidence=evidence, weights=weights,
    )  # fmt: skip
    info = EngineInfo(Path("x.trt"), Path("x.trt.json"), tiny_card(), record, 1.0)
    assert f"  {claimed}" in describe_engine(info)


def test_why_an_engine_was_not_run_is_what_cuda_says(gpu: fake_gpu.FakeGpu) -> None:
    gpu.cuda.driver = 12040
    record = EngineRecord(
        flavour="rtx", version="1", profiles=PROFILES, size=1, sha256="", onnx_sha256=""
    )
    info = EngineInfo(Path("x.trt"), Path("x.trt.json"), tiny_card(), record, 1.0)
    assert cuda_device.why_no_gpu() in describe_engine(info)
    assert "12.4" in cuda_device.why_no_gpu()


@pytest.mark.parametrize("current", [True, False])
def test_an_engine_for_the_gpu_that_is_here_says_so(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, current: bool
) -> None:
    source = read_source(write_tiny_reader(tmp_path / "x.onnx"))
    plan = fake_gpu.fake_plan(source.data, "rtx")  # its header names sm_86
    options = BuildOptions(flavour="rtx", profiles=PROFILES, current=current)
    record = build.describe_plan(plan, EngineFacts(), source, options)
    assert record.targets == (("sm_86",) if current else ())
    assert record.options.get("target") == ("current" if current else None)


@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
def test_what_the_gpu_that_is_here_cannot_do_is_refused(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flavour: Flavour
) -> None:
    asked: list[bool] = []

    def built(source: Buildable, options: BuildOptions, *_: object) -> tuple[bytes, EngineFacts]:
        asked.append(options.current)
        return fake_gpu.fake_plan(source.data, flavour), EngineFacts(profiles=PROFILES)

    monkeypatch.setattr(build, "build_plan", built)
    source = write_tiny_reader(tmp_path / "x.onnx")
    build_one = partial(
        build_engine, source, tmp_path / "x.trt", flavour=flavour, profiles=PROFILES
    )
    build_one()
    assert asked == [flavour == "rtx"]
    gpu.cuda.capability = (7, 5)
    if flavour == "rtx":
        assert "sm_75" in refusal(build_one)
        assert len(asked) == 1
    else:
        build_one()


def test_a_detectors_engine_is_run_before_it_is_written(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(source: Buildable, options: BuildOptions, *_: object) -> tuple[bytes, EngineFacts]:
        gpu.profiles = options.profiles
        currents.append(options.current)
        return fake_gpu.fake_plan(source.data, options.flavour), EngineFacts(
            profiles=options.profiles
        )

    currents: list[bool] = []
    monkeypatch.setattr(detector, "build_plan", built)
    source, target = write_detector(tmp_path / "det.onnx"), tmp_path / "det.trt"
    right = FakeEngine.compute
    monkeypatch.setattr(
        FakeEngine, "compute", lambda self, x: {k: 1 - v for k, v in right(self, x).items()}
    )
    build_one = partial(detector.build_detector, source, target, side=300, flavour="tensorrt")
    assert "something else" in refusal(build_one)
    assert not target.exists()
    monkeypatch.setattr(FakeEngine, "compute", right)
    info = build_one()
    assert info.record.verified["equal"] == 1.0
    assert info.record.verified["steps"] == 352 * 352
    assert "pixels" in describe_engine(info)
    assert gpu.cuda.is_empty
    for_here = detector.build_detector(source, target, side=300, flavour="rtx").record
    assert for_here.options["target"] == "current"
    assert currents == [False, False, True]


def bf16_model() -> onnx.ModelProto:
    """The tiny reader with all weights and products in bfloat16."""
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(ml_dtypes.bfloat16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes = list(model.graph.node)
    nodes[0].input[0] = "rounded"
    last = next(index for index, node in enumerate(nodes) if "logits" in node.output)
    for node in nodes[last + 1 :]:
        node.input[:] = ["exact" if name == "logits" else name for name in node.input]
    down = helper.make_node("Cast", ["images"], ["rounded"], to=onnx.TensorProto.BFLOAT16)
    up = helper.make_node("Cast", ["logits"], ["exact"], to=onnx.TensorProto.FLOAT)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend([down, *nodes[: last + 1], up, *nodes[last + 1 :]])
    return model


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_graphs_that_no_cpu_runs(
    gpu: fake_gpu.FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """Those in bf16 are compared with one that rounds as they do, of others it is said."""
    model = bf16_model()
    plan = fake_gpu.fake_plan(emulate_bf16(model).SerializeToString())
    monkeypatch.setattr(build, "build_plan", lambda *_: (plan, EngineFacts(profiles=PROFILES)))
    save_reader(model, tiny_card(precision=precision), tmp_path / "x.onnx")
    info = build_engine(
        tmp_path / "x.onnx", tmp_path / "x.trt", flavour="tensorrt", profiles=PROFILES
    )
    if precision == "bf16":
        assert info.record.verified["equal"] == 1.0
    else:
        assert "ONNX Runtime cannot run" in info.record.verified["reason"]
    assert gpu.cuda.is_empty


def test_what_cannot_be_compared_says_why(gpu: fake_gpu.FakeGpu, tmp_path: Path) -> None:
    source = read_source(write_tiny_reader(tmp_path / "x.onnx"))
    fields = {"profiles": PROFILES, "size": 1, "sha256": "", "onnx_sha256": ""}
    record = EngineRecord(flavour="rtx", version="1.7.1.116", targets=("sm_120",), **fields)  # type: ignore[arg-type]
    plan = fake_gpu.fake_plan(source.data, "rtx")
    assert "sm_86" in verify_plan(plan, source, source.card, record)["reason"]
    for_all = dataclasses.replace(record, targets=())
    gpu.cuda.capability = (9, 0)
    assert "sm_90" in verify_plan(plan, source, source.card, for_all)["reason"]
    gpu.cuda.devices, gpu.cuda.capability = 0, (8, 6)
    assert verify_plan(plan, source, source.card, record) == {}
    gpu.cuda.devices = 1
    gpu.validity = (fake_gpu.Validity.INVALID, 1)
    here = EngineRecord(flavour="rtx", version="1.7.1.116", targets=("sm_86",), **fields)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="version mismatch"):
        verify_plan(plan, source, source.card, here)
