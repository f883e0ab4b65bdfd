# ruff: noqa: ANN401 - the objects are stand-ins
"""A GPU for what cannot run where there is none: `fake_cuda` with `fake_tensorrt` on it."""

import sys
import weakref
from dataclasses import dataclass, field
from enum import IntEnum
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_cuda import FakeCuda
from fake_cuda import install as install_cuda
from fake_tensorrt import FakeEngine, FakeLogger

from crnn_runtime.backends import cuda_device
from crnn_runtime.backends.tensorrt import library
from crnn_runtime.model.engine_file import EngineRecord, Flavour, Profile, sha256_of, sidecar_path
from crnn_runtime.model.engine_file import sidecar_text as make_sidecar

VERSIONS: dict[Flavour, str] = {"tensorrt": "11.4.0.106", "rtx": "1.7.1.116"}
HEADER: dict[Flavour, bytes] = {"tensorrt": b"ftrt", "rtx": b"vtrt"}


class Validity(IntEnum):
    """``EngineValidity``."""

    VALID = 0
    SUBOPTIMAL = 1
    INVALID = 2


class Diagnostics(IntEnum):
    """``EngineInvalidityDiagnostics``: the values of TensorRT for RTX 1.7.1."""

    VERSION_MISMATCH = 1
    UNSUPPORTED_CC = 2
    OLD_CUDA_DRIVER = 4
    MALFORMED_ENGINE = 32


@dataclass
class FakeGpu:
    """A device for a test, and the engines that were loaded on it.

    Attributes:
        cuda: the device.
        profiles: of engines that are loaded next.
        loaded: engines that were loaded.
        runtimes: made so far.
        unusable: what TensorRT logs when it cannot start; empty if it can.
        validity: what TensorRT for RTX says of every plan.
    """

    cuda: FakeCuda
    profiles: tuple[Profile, ...]
    loaded: list["weakref.ref[FakeEngine]"] = field(default_factory=list)
    runtimes: int = 0
    unusable: str = ""
    validity: tuple[Validity, int] = (Validity.VALID, 0)

    @property
    def engines(self) -> list[FakeEngine]:
        """Those that are loaded and still there."""
        return [engine for each in self.loaded if (engine := each()) is not None]

    def module(self, flavour: Flavour, version: str) -> Any:  # the module tensorrt or tensorrt_rtx
        gpu = self

        class Runtime:
            engine_header_size = 64

            def __init__(self, logger: Any) -> None:
                assert gpu.cuda.devices, "TensorRT was touched without a GPU"
                if gpu.unusable:
                    logger.log(FakeLogger.Severity.ERROR, gpu.unusable)
                    raise TypeError("pybind11::init(): factory function returned nullptr")
                gpu.runtimes += 1
                self._logger = logger

            def get_engine_validity(self, header: bytes) -> tuple[Validity, int]:
                assert flavour == "rtx"
                assert len(header) == 64
                return gpu.validity

            def deserialize_cuda_engine(self, plan: bytes) -> FakeEngine | None:
                onnx_file = plan[64:]
                if onnx_file == b"foreign":
                    self._logger.log(FakeLogger.Severity.ERROR, "cannot be deserialised")
                    self._logger.log(FakeLogger.Severity.ERROR, "a consequence")
                    return None
                engine = FakeEngine(gpu.cuda, onnx_file, gpu.profiles, self._logger)
                gpu.loaded.append(weakref.ref(engine))
                return engine

        return SimpleNamespace(
            __version__=version,
            __spec__=ModuleSpec(library.MODULES[flavour], None),
            ILogger=FakeLogger,
            Runtime=Runtime,
            Builder=Runtime,
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user"),
            CudaGraphStrategy=SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole"),
            DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER="EAGER", LAZY="LAZY"),
            ProfilingVerbosity=SimpleNamespace(NONE="NONE", DETAILED="DETAILED"),
            EngineValidity=Validity,
            EngineInvalidityDiagnostics=Diagnostics,
        )


def install(
    monkeypatch: pytest.MonkeyPatch,
    profiles: tuple[Profile, ...],
    *,
    devices: int = 1,
    versions: dict[Flavour, str] | None = None,
) -> FakeGpu:
    """Put the stand-ins where the runtime imports the real ones from."""
    gpu = FakeGpu(FakeCuda(devices), profiles)
    uninstall()
    install_cuda(monkeypatch, gpu.cuda)
    for flavour, name in library.MODULES.items():
        version = (versions or VERSIONS)[flavour]
        monkeypatch.setitem(sys.modules, name, gpu.module(flavour, version))
    return gpu


def uninstall() -> None:
    """Forget the stand-ins; call it when the monkeypatch is undone."""
    for function in (cuda_device.cuda, library.load_library, library.shared_logger):
        function.cache_clear()


def fake_plan(onnx_file: bytes, flavour: Flavour = "tensorrt") -> bytes:
    """A plan with a real header whose body is an ONNX file."""
    version = bytes(int(part) for part in VERSIONS[flavour].split("."))
    size = 64 + len(onnx_file)
    header = HEADER[flavour] + bytes(12) + size.to_bytes(8, "little") + version + bytes(4)
    return header + bytes([4]) + bytes(31) + onnx_file


def write_fake_engine(
    path: Path,
    onnx_file: bytes,
    card: Any,
    profiles: tuple[Profile, ...],
    *,
    flavour: Flavour = "tensorrt",
    **changes: Any,
) -> Path:
    """A fake plan and its sidecar."""
    path.write_bytes(fake_plan(onnx_file, flavour))
    fields = {
        "flavour": flavour,
        "version": VERSIONS[flavour],
        "targets": ("sm_86",),
        "profiles": profiles,
        "size": path.stat().st_size,
        "sha256": sha256_of(path),
        "onnx_sha256": "",
    }
    record = EngineRecord(**{**fields, **changes})
    sidecar_path(path).write_text(make_sidecar(card, record), "utf-8")
    return path
