"""Records which names TensorRT's Python bindings have, from their wheels alone.

The bindings of TensorRT link to libraries of several gigabytes, but to look at
their classes needs none of what is in there: with empty stand-ins for nine
functions the module imports. Usage, with any number of wheels::

    python tests/support/engines/record_bindings.py tensorrt_cu12_bindings-10.7.0-….whl …

writes ``tests/data/tensorrt_bindings.json``. Needs a C compiler and the Python that
the wheels are for.
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

RECORD = Path(__file__).parents[2] / "data" / "tensorrt_bindings.json"
CLASSES = (
    "Builder", "BuilderFlag", "DataType", "EngineInspector", "ExecutionContextAllocationStrategy",
    "IBuilderConfig", "ICudaEngine", "IExecutionContext", "IHostMemory", "ILogger",
    "INetworkDefinition", "IOptimizationProfile", "IProgressMonitor", "ITimingCache",
    "LayerInformationFormat", "NetworkDefinitionCreationFlag", "OnnxParser", "ParserError",
    "PreviewFeature", "ProfilingVerbosity", "Runtime",
)  # fmt: skip
_FUNCTIONS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry", "getNvOnnxParserVersion", "getPluginRegistry",
    "initLibNvInferPlugins",
)  # fmt: skip
_LIST = """
import json, tensorrt_bindings as trt
names = {}
for name in CLASSES:
    kind = getattr(trt, name, None)
    names[name] = sorted(member for member in dir(kind) if not member.startswith("_"))
print(json.dumps({trt.__version__: names}))
"""


def names_in(wheel: Path) -> dict[str, dict[str, list[str]]]:
    """Version → class → public members."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        version = wheel.name.split("-")[1]
        _write_stand_ins(Path(folder), version.split(".")[0])
        environment = {**os.environ, "LD_LIBRARY_PATH": folder, "PYTHONPATH": folder}
        listing = subprocess.run(
            [sys.executable, "-c", f"CLASSES = {CLASSES!r}\n{_LIST}"],
            env=environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
    found: dict[str, dict[str, list[str]]] = json.loads(listing.stdout)
    return found


def _write_stand_ins(folder: Path, major: str) -> None:
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in _FUNCTIONS))
    for name in ("nvinfer", "nvonnxparser", "nvinfer_plugin"):
        library = f"lib{name}.so.{major}"
        command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", library, "empty.c"]
        subprocess.run(command, cwd=folder, check=True)


def main(wheels: list[str]) -> None:
    """Write the record of some wheels."""
    record: dict[str, dict[str, list[str]]] = {}
    for wheel in wheels:
        record |= names_in(Path(wheel))
    ordered = dict(sorted(record.items(), key=lambda item: [int(x) for x in item[0].split(".")]))
    lines = ",\n".join(
        f'"{version}": {{\n'
        + ",\n".join(f'"{name}": {json.dumps(members)}' for name, members in names.items())
        + "}"
        for version, names in ordered.items()
    )
    RECORD.write_text("{" + lines + "}\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
