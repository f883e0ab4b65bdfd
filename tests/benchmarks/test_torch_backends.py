"""PyTorch as a backend of the latency benchmark: eager and compiled give the same."""

import shutil

import numpy as np
import pytest
import torch

from crnn.backbones import lite
from crnn_benchmarks.harness.backends import WAYS_TO_RUN, open_subject
from crnn_benchmarks.harness.models import Subject
from crnn_runtime.errors import MissingDependencyError

LITE = Subject(name="lite", arch="lite", alphabet="digits")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("name", ["torch-cuda", "torch-compile-cuda"])
def test_without_a_gpu_pytorch_says_so(name: str) -> None:
    with pytest.raises(MissingDependencyError):
        open_subject(LITE, name, "fp32", 1)


@pytest.mark.slow
def test_what_is_compiled_gives_what_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = [stage._replace(channels=16, depth=1) for stage in lite._STAGES]
    monkeypatch.setattr(lite, "_STAGES", stages)  # each kernel costs the compiler seconds
    if shutil.which("cc") is None:
        pytest.skip("there is no C++ compiler")
    device = "-cuda" if torch.cuda.is_available() else ""
    eager, compiled = (
        open_subject(LITE, f"{kind}{device}", "fp32", 1) for kind in ("torch", "torch-compile")
    )
    card = eager.card
    images = np.random.default_rng(0).standard_normal((2, card.channels, card.height, 64))
    for _ in range(3):  # compiled, captured, replayed
        found, expected = (each.infer(images.astype(np.float32)) for each in (compiled, eager))
        np.testing.assert_array_equal(found["ids"], expected["ids"])
        np.testing.assert_allclose(found["probs"], expected["probs"], atol=1e-4)


def test_every_backend_on_a_gpu_computes_what_the_others_do() -> None:
    on_gpu = [name for name in WAYS_TO_RUN if "cuda" in name or name == "tensorrt"]
    assert {"torch-cuda", "torch-compile-cuda", "onnxruntime-cuda", "tensorrt"} == set(on_gpu)
    for name in on_gpu:
        assert WAYS_TO_RUN[name].library is None  # its roof is not the processor's
        assert {"fp32", "fp16"} <= set(WAYS_TO_RUN[name].precisions)
