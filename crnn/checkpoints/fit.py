"""Whether tensors are the weights of an architecture."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from crnn.folding import fold_norms
from crnn.model import build_model
from crnn_runtime.errors import ModelError

CLASSIFIER = "classifier.weight"


def count_channels(state_dict: Mapping[str, Tensor]) -> int:
    """Channels that the first convolution reads."""
    return next(t.shape[1] for t in state_dict.values() if t.dim() == 4)


def expected_shapes(arch: str, state_dict: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Names and shapes of the architecture, with the classes and channels that are there."""
    classifier = state_dict.get(CLASSIFIER)
    num_classes = classifier.shape[0] if classifier is not None and classifier.dim() == 2 else 2
    convolutions = any(t.dim() == 4 for t in state_dict.values())
    in_channels = count_channels(state_dict) if convolutions else None
    if in_channels not in (1, 3):
        in_channels = None
    with torch.device("meta"):
        model = build_model(arch, max(2, num_classes), in_channels)
        fold_norms(model, state_dict)
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def in_order(arch: str, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in the architecture's order, which files that sort by name lose."""
    with torch.device("meta"):
        model = build_model(arch, 2)
    fold_norms(model, state_dict)
    places = {name: place for place, name in enumerate(model.state_dict())}
    names = sorted(state_dict, key=lambda name: places.get(name, len(places)))
    return {name: state_dict[name] for name in names}


def is_counter(name: str) -> bool:
    """Whether a tensor counts batches: absent before PyTorch 0.4.1, of no use in evaluation."""
    return name.endswith("num_batches_tracked")


def check_fits(path: Path, arch: str, state_dict: dict[str, Tensor]) -> None:
    """Compare tensors with an architecture; counters that are missing are added.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape.
    """
    expected = expected_shapes(arch, state_dict)
    for name, shape in expected.items():
        if is_counter(name):
            state_dict.setdefault(name, torch.zeros(shape, dtype=torch.int64))
    problems = [f"{name} is missing" for name in expected if name not in state_dict]
    problems += [f"{name} is unknown" for name in state_dict if name not in expected]
    problems += [
        f"{name} has shape {tuple(tensor.shape)}, not {tuple(expected[name])}"
        for name, tensor in state_dict.items()
        if name in expected and tensor.shape != expected[name]
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ModelError(f"{path} does not fit {arch}: {problems[0]}{more}")


def check_finite(path: Path, state_dict: Mapping[str, Tensor]) -> None:
    """Refuse NaN and infinity.

    Raises:
        ModelError: there is one.
    """
    for name, tensor in state_dict.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(
                f"{path} holds values that are not finite in {name}: "
                "train again or take an earlier checkpoint"
            )
