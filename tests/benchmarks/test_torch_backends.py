"""PyTorch as a backend of the latency benchmark: eager and compiled give the same."""

import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torch._dynamo
from torch._dynamo.utils import counters

from crnn.backbones import lite
from crnn_benchmarks.harness.backends import WAYS_TO_RUN, open_subject
from crnn_benchmarks.harness.models import Subject
from crnn_benchmarks.harness.torch_backends import open_torch
from crnn_runtime.errors import MissingDependencyError

LITE = Subject(name="lite", arch="lite", alphabet="digits")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("name", ["torch-cuda", "torch-compile-cuda"])
def test_without_a_gpu_pytorch_says_so(name: str) -> None:
    with pytest.raises(MissingDependencyError):
        open_subject(LITE, name, "fp32", 1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, object]]]:
    """Options of each call of `torch.compile`, which compiles as it is told."""
    options: list[dict[str, object]] = []
    real = torch.compile

    def record(module: torch.nn.Module, **given: object) -> object:
        options.append(given)
        return real(module, **given)

    monkeypatch.setattr(torch, "compile", record)
    config = torch._dynamo.config
    limits = ("recompile_limit", "accumulated_recompile_limit", "fail_on_recompile_limit_hit")
    with config.patch({name: getattr(config, name) for name in limits}):  # and back
        yield options
    torch._dynamo.reset()


@pytest.mark.slow
def test_what_is_compiled_gives_what_is_typed(
    monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, object]]
) -> None:
    stages = [stage._replace(channels=16, depth=1) for stage in lite._STAGES]
    monkeypatch.setattr(lite, "_STAGES", stages)  # each kernel costs the compiler seconds
    if shutil.which("cc") is None:
        pytest.skip("there is no C++ compiler")
    on_gpu = torch.cuda.is_available()
    eager, compiled = (
        open_subject(LITE, f"{kind}{'-cuda' if on_gpu else ''}", "fp32", 1)
        for kind in ("torch", "torch-compile")
    )
    assert asked == [{"dynamic": False, "mode": "reduce-overhead" if on_gpu else None}]
    counters["stats"].clear()
    card = eager.card
    images = np.random.default_rng(0).standard_normal((2, card.channels, card.height, 64))
    for _ in range(3):  # compiled, captured, replayed
        found, expected = (each.infer(images.astype(np.float32)) for each in (compiled, eager))
        np.testing.assert_array_equal(found["ids"], expected["ids"])
        np.testing.assert_allclose(found["probs"], expected["probs"], atol=1e-4)
    assert counters["stats"]["unique_graphs"] == 1


def test_on_a_gpu_what_is_compiled_is_replayed_as_graphs(
    monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, object]]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, _: module)
    open_torch(LITE, "fp32", 1, "cuda", is_compiled=True)
    assert asked == [{"dynamic": False, "mode": "reduce-overhead"}]


def test_every_shape_is_compiled(
    monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, object]]
) -> None:
    """Dynamo runs what is beyond its limit as it was typed, if it is not told otherwise."""
    stages = [stage._replace(channels=16, depth=1) for stage in lite._STAGES]
    monkeypatch.setattr(lite, "_STAGES", stages)
    compiled: list[int] = []
    recorded = torch.compile

    def compile_nothing(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        compiled.append(1)
        return graph.forward

    def with_a_compiler(module: torch.nn.Module, *, dynamic: bool, **_: object) -> object:
        return recorded(module, dynamic=dynamic, backend=compile_nothing)

    monkeypatch.setattr(torch, "compile", with_a_compiler)
    for precision in ("fp32", "bf16"):
        infer, card = open_torch(LITE, precision, 1, "cpu", is_compiled=True)
        for width in range(64, 64 + 16 * 5, 16):
            infer(np.zeros((1, card.channels, card.height, width), np.float32))
    assert len(compiled) == 10
    beyond = torch._dynamo.exc.FailOnRecompileLimitHit
    # Not by monkeypatch, which would delete the setting afterwards instead of setting it back.
    with torch._dynamo.config.patch(recompile_limit=1), pytest.raises(beyond):
        infer(np.zeros((2, card.channels, card.height, 64), np.float32))


def test_every_backend_on_a_gpu_computes_what_the_others_do() -> None:
    on_gpu = [name for name in WAYS_TO_RUN if "cuda" in name or name == "tensorrt"]
    assert {"torch-cuda", "torch-compile-cuda", "onnxruntime-cuda", "tensorrt"} == set(on_gpu)
    for name in on_gpu:
        assert WAYS_TO_RUN[name].library is None  # its roof is not the processor's
        assert {"fp32", "fp16"} <= set(WAYS_TO_RUN[name].precisions)
