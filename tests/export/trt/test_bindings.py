"""Every TensorRT name that the code uses exists in the bindings it is written for.

TensorRT itself cannot be installed everywhere, so the names in its bindings are
recorded (`record_bindings`); those of TensorRT for RTX are looked up for real.
"""

import ast
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from record_bindings import CLASSES, RECORD

ROOT = Path(__file__).parents[3]
RECORDED: dict[str, dict[str, list[str]]] = json.loads(RECORD.read_text("utf-8"))

# Which class a variable (or attribute) of this name holds, per file.
BUILDER = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "cache": "ITimingCache",
    "profile": "IOptimizationProfile",
}
ENGINE = {
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "config": "IRuntimeConfig",
}
CONTEXT = {"raw": "IExecutionContext"}
BACKEND = "runtime/backends/tensorrt"
FILES = {
    "export/trt/builder.py": BUILDER,
    "export/trt/readback.py": {"engine": "ICudaEngine", "inspector": "EngineInspector"},
    "export/trt/progress.py": {},
    f"{BACKEND}/lane.py": CONTEXT,
    f"{BACKEND}/contexts.py": CONTEXT,
    f"{BACKEND}/engine.py": ENGINE,
    f"{BACKEND}/kernel_cache.py": {"config": "IRuntimeConfig", "_cache": "IRuntimeCache"},
    f"{BACKEND}/library.py": {},
}
# Used for one flavour only, or where they exist.
RTX_ONLY = {
    "ICudaEngine.create_runtime_config",  # also in later TensorRT 10, not used there
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
    "Runtime.get_engine_validity",
    "Runtime.engine_header_size",
}
BY_STRING = {"ParserError.desc", "ParserError.node_operator", "IExecutionContext.device_memory"}


def owner_of(node: ast.expr, variables: dict[str, str]) -> str | None:
    """The TensorRT class whose member is taken of ``node``."""
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
    if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "trt":
        return node.attr  # trt.Class.member
    return variables.get(name or "")


def uses() -> Iterator[str]:
    """``Class.member`` of every attribute that the code takes."""
    yield from BY_STRING
    for file, variables in FILES.items():
        for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                owner = owner_of(node.value, variables)
                # ILogger.Severity.ERROR is two steps: the first is looked up.
                if owner and owner != "Severity" and not node.attr.startswith("_"):
                    yield f"{owner}.{node.attr}"


USES = sorted(set(uses()))


def test_the_scan_sees_what_is_known_to_be_there() -> None:
    assert {
        "Builder.build_serialized_network",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "IExecutionContext.execute_async_v3",
        "ICudaEngine.create_execution_context",
        "Runtime.deserialize_cuda_engine",
        "IOptimizationProfile.set_shape",
        "EngineInspector.get_engine_information",
    } <= set(USES)
    assert len(USES) > 40


@pytest.mark.parametrize("version", RECORDED)
def test_the_names_exist_in_tensorrt(version: str) -> None:
    names = {
        f"{kind}.{member}" for kind, members in RECORDED[version].items() for member in members
    }
    wanted = {use for use in USES if use.split(".")[0] in CLASSES}
    assert wanted - RTX_ONLY - names == set()
    assert names & {"PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10"} or version.startswith("10.8")


@pytest.mark.parametrize("use", USES)
def test_the_name_exists_in_tensorrt_for_rtx(use: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    kind, member = use.split(".")
    assert hasattr(getattr(trt, kind), member)


def cuda_names() -> list[str]:
    """Functions, called by name, and constants of the CUDA runtime."""
    names = set()
    files = [ROOT / "runtime/backends/cuda_device.py", *(ROOT / BACKEND).glob("*.py")]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            found = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
            if isinstance(found, str) and re.fullmatch("cuda[A-Z][A-Za-z]+", found):
                names.add(found)
    return sorted(names)


@pytest.mark.parametrize("name", cuda_names())
def test_the_name_exists_in_the_cuda_bindings(name: str) -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    homes = (
        runtime,
        runtime.cudaMemcpyKind,
        runtime.cudaStreamCaptureMode,
        runtime.cudaDeviceAttr,
    )
    assert any(hasattr(home, name) for home in homes)


def test_the_stand_in_has_no_name_of_its_own() -> None:
    fake = import_module("fake_tensorrt")
    trt = pytest.importorskip("tensorrt_rtx")
    for kind, real in (
        (fake.FakeEngine, trt.ICudaEngine),
        (fake.FakeContext, trt.IExecutionContext),
        (fake.FakeConfig, trt.IRuntimeConfig),
        (fake.FakeCache, trt.IRuntimeCache),
    ):
        names = {name for name in vars(kind) if not name.startswith("_")} - fake.HELPERS
        assert {name for name in names if not hasattr(real, name)} == set()
    runtime = pytest.importorskip("cuda.bindings.runtime")
    cuda = import_module("fake_cuda").FakeCuda
    assert {
        name for name in vars(cuda) if name.startswith("cuda") and not hasattr(runtime, name)
    } == set()
    fake_gpu = import_module("fake_gpu")
    for fake_kind, real in (
        (fake_gpu.Validity, trt.EngineValidity),
        (fake_gpu.Diagnostics, trt.EngineInvalidityDiagnostics),
    ):
        assert all(int(getattr(real, each.name)) == each.value for each in fake_kind)


def test_the_messages_that_the_stand_in_raises_are_those_of_the_bindings() -> None:
    bindings = pytest.importorskip("tensorrt_rtx_bindings.tensorrt_rtx")
    content = Path(bindings.__file__).read_bytes()
    fake = (ROOT / "tests/support/engines/fake_tensorrt.py").read_text("utf-8")
    for words in ("Error in set optimization profile async.", "infer_shapes error code: "):
        assert words in fake
        assert words.encode() in content
    assert b"factory function returned nullptr" in content
