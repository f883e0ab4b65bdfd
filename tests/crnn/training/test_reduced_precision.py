"""bf16 and fp16: where they train, and what is said where they do not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused
from small_run import small_run

from crnn.training import train


@pytest.mark.parametrize("computes", [True, False])
def test_bf16_trains_and_that_it_is_emulated_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    computes: bool,
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: computes)
    train(small_run(tmp_path, precision="bf16", max_steps=2))
    entries = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    assert losses
    assert np.isfinite(losses).all()
    warned = [each.getMessage() for each in caplog.records if "bf16" in each.getMessage()]
    assert len(warned) == (0 if computes else 1)


def test_fp16_is_refused_on_the_cpu(tmp_path: Path) -> None:
    with refused("fp16", "GPU"):
        train(small_run(tmp_path, precision="fp16"))
