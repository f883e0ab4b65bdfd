"""Whether a GPU can be used, and why not."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import fake_gpu
import pytest
from engine_checks import PROFILES

from crnn_runtime import CrnnError, MissingDependencyError
from crnn_runtime.backends import cuda_device


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_gpu.FakeGpu]:
    yield fake_gpu.install(monkeypatch, PROFILES, devices=2)
    monkeypatch.undo()
    fake_gpu.uninstall()


def test_a_driver_that_is_older_than_the_bindings_is_told_apart_from_none(
    gpu: fake_gpu.FakeGpu,
) -> None:
    gpu.cuda.driver, gpu.cuda.runtime = 12040, 13050
    reason = cuda_device.why_no_gpu()
    assert all(
        version in reason
        for version in ("12.4", "13.5", "not for TensorRT for RTX", "cuda-bindings < 13")
    )
    gpu.cuda.driver = 0
    assert cuda_device.why_no_gpu() not in ("", reason)
    with pytest.raises(MissingDependencyError, match="driver"):
        cuda_device.require_device("cuda")
    assert cuda_device.device_count() == 0


def test_a_machine_without_a_device_says_what_cuda_says(gpu: fake_gpu.FakeGpu) -> None:
    gpu.cuda.devices = 0
    assert "no CUDA-capable device" in cuda_device.why_no_gpu()


def test_a_gpu_that_is_there_has_no_reason_against_it(gpu: fake_gpu.FakeGpu) -> None:
    assert cuda_device.why_no_gpu() == ""
    assert cuda_device.require_device("cuda:1") == 1
    assert gpu.cuda.device == 0  # asking makes it not the current one
    with pytest.raises(MissingDependencyError):
        cuda_device.require_device("cuda:2")


def test_the_device_of_before_is_current_again_after_an_error(gpu: fake_gpu.FakeGpu) -> None:
    with suppress(ZeroDivisionError), cuda_device.on_device(1):
        assert gpu.cuda.device == 1
        raise ZeroDivisionError
    assert gpu.cuda.device == 0


@pytest.mark.parametrize("status", [700, 719])
def test_errors_that_cost_the_process_its_gpu_say_so(gpu: fake_gpu.FakeGpu, status: int) -> None:
    gpu.cuda.lost = status
    with pytest.raises(CrnnError, match="restart"):
        cuda_device.call("cudaMalloc", 16)
    gpu.cuda.lost = 2
    with pytest.raises(CrnnError, match=r"out of memory$"):
        cuda_device.call("cudaMalloc", 16)


def test_errors_that_need_a_restart_are_those_of_cudas_reference() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime")
    documented = {int(e) for e in runtime.cudaError_t if "relaunched" in (e.__doc__ or "")}
    assert documented
    assert documented == cuda_device.LOST


def test_the_extras_ask_for_releases_without_the_known_faults() -> None:
    text = (Path(__file__).parents[3] / "setup.cfg").read_text("utf-8")
    least = dict(re.findall(r"^    (tensorrt|tensorrt-rtx-cu13) >= ([\d.]+)$", text, re.MULTILINE))
    assert least == {"tensorrt": "10.8", "tensorrt-rtx-cu13": "1.7"}
    bindings = re.findall(r"^    cuda-bindings >= ([\d.]+)$", text, re.MULTILINE)
    assert sorted(tuple(map(int, each.split("."))) for each in bindings)[0] >= (12, 9, 1)
