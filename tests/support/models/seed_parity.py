"""Checkpoints of the original projects, rebuilt, and what their networks answer to them.

Every value is drawn from a generator seeded by the tensor's name, so that a few
kilobytes of names and shapes (``tests/data/seed_parity``) stand for the files.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from crnn_runtime import Alphabet

DATA = Path(__file__).resolve().parents[2] / "data" / "seed_parity"
ARCHS = (
    "densenet_cifar",
    "densenet121",
    "resnet_cifar",
    "mobilenetv2_cifar",
    "shufflenetv2_cifar",
    "vgg_bilstm",
)
WIDTHS = (280, 100, 64)


def seed_alphabet(arch: str) -> Alphabet:
    """The characters of the checkpoint, which the file itself does not hold."""
    digits = "0123456789"
    return Alphabet(digits + "abcdefghijklmnopqrstuvwxyz" if arch == "vgg_bilstm" else digits)


def seed_state_dict(arch: str) -> dict[str, torch.Tensor]:
    """The weights under the original's names, in its order."""
    keys = json.loads((DATA / "state_dict_keys.json").read_text(encoding="utf-8"))
    return {name: torch.from_numpy(draw_tensor(name, tuple(shape))) for name, shape in keys[arch]}


def draw_tensor(name: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """One tensor of a checkpoint, drawn from its name."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var"):
        values = generator.uniform(0.5, 1.5, shape)
    elif name.endswith(("running_mean", "bias")):
        values = generator.standard_normal(shape) * 0.1
    elif len(shape) == 1:
        values = generator.uniform(0.5, 1.0, shape)
    else:
        values = generator.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
    return np.asarray(values, np.float32)


def write_seed_checkpoint(arch: str, path: Path) -> Path:
    """Write the file as the original project does: meijieru's is the weights alone."""
    state_dict = seed_state_dict(arch)
    if arch == "vgg_bilstm":
        torch.save(state_dict, path)
    else:
        content = {
            "arch": arch,
            "epoch": 2,
            "state_dict": state_dict,
            "best_accuracy": 0.75,
            "optimizer": {"state": {}, "param_groups": [{"lr": 5e-4, "params": [0]}]},
        }
        torch.save(content, path)
    return path


def seed_input(arch: str, width: int, count: int = 2) -> NDArray[np.float32]:
    """The lines (N, C, 32, width) that the answers are for."""
    channels = 1 if arch == "vgg_bilstm" else 3
    lines = np.random.default_rng(width).standard_normal((count, channels, 32, width))
    return lines.astype(np.float32)


def seed_log_probs(arch: str, width: int) -> NDArray[np.float32]:
    """Returns the log-probabilities of the original network, (N, T, C)."""
    with np.load(DATA / "log_probs.npz") as answers:
        log_probs: NDArray[np.float32] = answers[f"{arch}/{width}"]
    return log_probs.transpose(1, 0, 2)
