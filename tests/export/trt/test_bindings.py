"""Every TensorRT name that the code uses exists in the bindings it is written for.

TensorRT itself cannot be installed everywhere, so the names in its bindings are
recorded (`record_bindings`); those of TensorRT for RTX are looked up for real.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import isroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from record_bindings import CLASSES, RECORD

from crnn_runtime.backends.cuda_device import device_count, handle

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


def arguments(
    cuda: Any,  # noqa: ANN401 - the bindings or the stand-in
    make: Callable[[str], object],
) -> dict[str, tuple[object, ...]]:
    """Function → what it is called with; ``make`` gives an object of a type of CUDA's."""
    stream, graph, launched = make("cudaStream_t"), make("cudaGraph_t"), make("cudaGraphExec_t")
    address, device = 4096, 0
    attribute = cuda.cudaDeviceAttr.cudaDevAttrComputeCapabilityMajor
    upload = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
    own_thread = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    return {
        "cudaDeviceGetAttribute": (attribute, device),
        "cudaDriverGetVersion": (),
        "cudaFree": (address,),
        "cudaFreeHost": (address,),
        "cudaGetDevice": (),
        "cudaGetDeviceCount": (),
        "cudaGetDeviceProperties": (device,),
        "cudaGetErrorString": (35,),
        "cudaGetLastError": (),
        "cudaGraphDestroy": (graph,),
        "cudaGraphExecDestroy": (launched,),
        "cudaGraphInstantiate": (graph, 0),
        "cudaGraphLaunch": (launched, stream),
        "cudaMalloc": (256,),
        "cudaMallocHost": (256,),
        "cudaMemcpyAsync": (address, address, 16, upload, stream),
        "cudaRuntimeGetVersion": (),
        "cudaSetDevice": (device,),
        "cudaStreamBeginCapture": (stream, own_thread),
        "cudaStreamCreateWithFlags": (cuda.cudaStreamNonBlocking,),
        "cudaStreamDestroy": (stream,),
        "cudaStreamEndCapture": (stream,),
        "cudaStreamSynchronize": (stream,),
    }


def test_without_a_driver_the_stand_in_answers_as_the_cuda_bindings_do() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    if device_count():
        pytest.skip("this machine has a GPU")
    fake = import_module("fake_cuda").FakeCuda()
    fake.driver, fake.failing = 0, lambda _: 35
    real_calls = arguments(runtime, lambda name: getattr(runtime, name)(5))
    fake_calls = arguments(fake, lambda _: SimpleNamespace(address=5))
    functions = {name for name in cuda_names() if isroutine(getattr(runtime, name, None))}
    assert real_calls.keys() == functions
    for name, given in real_calls.items():  # a wrong type or number of them raises
        status, *results = getattr(runtime, name)(*given)
        fake_status, *fake_results = getattr(fake, name)(*fake_calls[name])
        assert int(fake_status) == int(status), name
        assert len(fake_results) == len(results), name
        assert all(each is None for each in results) or int(status) == 0, name


def test_a_stream_has_an_address_for_other_libraries() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    assert handle(runtime.cudaStream_t(5)) == 5
    fake = import_module("fake_cuda")
    assert fake.FakeUtils.get_cuda_native_handle(fake.FakeStream(5)) == 5
    for utils in (import_module("cuda.bindings.utils"), fake.FakeUtils):
        with pytest.raises(TypeError, match="Unknown type"):
            utils.get_cuda_native_handle(5)


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
