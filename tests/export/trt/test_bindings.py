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
LANE = {"engine": "ICudaEngine", "context": "IExecutionContext", "config": "IRuntimeConfig"}
FILES = {
    "export/trt/builder.py": BUILDER,
    "export/trt/readback.py": {"engine": "ICudaEngine", "inspector": "EngineInspector"},
    "export/trt/progress.py": {},
    "runtime/backends/tensorrt_lane.py": LANE,
    "runtime/backends/tensorrt_backend.py": {"runtime": "Runtime", "engine": "ICudaEngine"},
    "runtime/backends/tensorrt_library.py": {},
}
# Used for one flavour only, or where they exist.
RTX_ONLY = {
    "ICudaEngine.create_runtime_config",  # also in later TensorRT 10, not used there
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
}
EITHER = ("ICudaEngine.device_memory_size", "ICudaEngine.device_memory_size_v2")
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
    assert wanted - RTX_ONLY - set(EITHER) - names == set()
    assert names & set(EITHER)
    assert names & {"PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10"} or version.startswith(
        ("10.0", "10.7")
    )


@pytest.mark.parametrize("use", USES)
def test_the_name_exists_in_tensorrt_for_rtx(use: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    kind, member = use.split(".")
    if use == EITHER[0]:
        kind, member = EITHER[1].split(".")
    assert hasattr(getattr(trt, kind), member)


def cuda_names() -> list[str]:
    """Functions, called by name, and constants of the CUDA runtime."""
    names = set()
    for file in ("cuda_device.py", "tensorrt_lane.py"):
        for node in ast.walk(ast.parse((ROOT / "runtime/backends" / file).read_text("utf-8"))):
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
    fake = import_module("fake_gpu")
    trt = pytest.importorskip("tensorrt_rtx")
    for kind, real in (
        (fake.FakeEngine, trt.ICudaEngine),
        (fake.FakeContext, trt.IExecutionContext),
    ):
        own = {"cuda", "profiles", "logger", "refuses", "contexts", "compute", "memory_of"} | {
            "managed", "profile", "shape", "addresses", "busy", "engine",
        }  # fmt: skip
        names = {name for name in vars(kind) if not name.startswith("_")} - own
        assert {name for name in names if not hasattr(real, name)} == set()
