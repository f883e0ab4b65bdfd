"""Match layers with an architecture by their order and shapes, whatever they are called."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from crnn.backbones import BACKBONES
from crnn.backbones._layers import Affine
from crnn.checkpoints.layers import Kind, Layer
from crnn.folding import convolutions_and_norms
from crnn.model import build_model

_KINDS: dict[type[nn.Module], Kind] = {
    nn.Conv2d: "convolution",
    nn.Linear: "linear",
    nn.BatchNorm2d: "norm",
    nn.LayerNorm: "scale",
    Affine: "scale",
}


@dataclass
class Match:
    """The result of comparing layers with an architecture.

    Attributes:
        arch: a key of `BACKBONES`.
        fitted: layers that fit, from the first on.
        problem: what the next one lacks; None if all fit.
        state_dict: the weights under this project's names, if all fit.
    """

    arch: str
    fitted: int = 0
    problem: str | None = None
    state_dict: dict[str, Tensor] = field(default_factory=dict)


def best_match(layers: Sequence[Layer], archs: Sequence[str] = tuple(BACKBONES)) -> Match:
    """The architecture that the layers are, or the one that they fit furthest.

    Args:
        layers: from a convolution to a linear classifier.
        archs: keys of `BACKBONES`.
    """
    return max(
        (_match(arch, layers) for arch in archs), key=lambda m: (m.problem is None, m.fitted)
    )


def _match(arch: str, layers: Sequence[Layer]) -> Match:
    match = Match(arch)
    channels, classes = layers[0].shape[1], layers[-1].shape[0]
    if channels not in (1, 3) or classes < 2:
        match.problem = f"it reads {channels} channels and gives {classes} classes"
        return match
    with torch.device("meta"):
        model = build_model(arch, classes, channels)
    behind = {norm: convolution for convolution, norm in convolutions_and_norms(model)}
    for name, module in model.named_modules():
        if type(module) in _KINDS and not _take(match, name, module, behind.get(name), layers):
            return match
    if match.fitted < len(layers):
        match.problem = f"{layers[match.fitted]} is one too many"
    return match


def _take(
    match: Match, name: str, module: nn.Module, convolution: str | None, layers: Sequence[Layer]
) -> bool:
    """Give one module its layer's tensors; whether the layer is one for it.

    Args:
        match: with what the modules before it took.
        name: of the module.
        module: with the shapes that it expects.
        convolution: name of the one that a norm stands directly behind.
        layers: of the file.
    """
    kind = _KINDS[type(module)]
    layer = layers[match.fitted] if match.fitted < len(layers) else None
    if convolution and (layer is None or layer.kind != "norm"):  # folded
        channels = len(match.state_dict[f"{convolution}.weight"])
        match.state_dict.setdefault(f"{convolution}.bias", torch.zeros(channels))
        return True
    expected = tuple(module.get_parameter("weight").shape)
    if layer is None:
        match.problem = f"its layers end where {name} {expected} should be"
        return False
    if layer.kind != kind or layer.shape != expected:
        match.problem = f"{layer} stands where {name} is a {kind} of {expected}"
        return False
    tensors = {key: torch.from_numpy(array) for key, array in layer.tensors.items()}
    if kind == "norm":
        # The convolution before it may keep a bias of its own, which ours has no place for.
        before = match.state_dict.pop(f"{convolution}.bias", None)
        if before is not None:
            tensors["running_mean"] = tensors["running_mean"] - before
        tensors["num_batches_tracked"] = torch.tensor(0)
    elif "bias" not in tensors and getattr(module, "bias", None) is not None:
        tensors["bias"] = torch.zeros(expected[0])
    match.state_dict |= {f"{name}.{key}": tensor for key, tensor in tensors.items()}
    match.fitted += 1
    return True
