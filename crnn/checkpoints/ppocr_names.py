"""PP-OCR's recognisers as the library Transformers names their tensors.

PaddlePaddle publishes its readers in this form, too. There the blocks are counted
per stage, and PP-LCNetV3 keeps the parallel branches that it was trained with:
convolutions of two sizes and an identity, each with its norm, whose sum is one
convolution.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from crnn.backbones import BACKBONES
from crnn.checkpoints.fit import CLASSIFIER

_PREFIX = "model.backbone.encoder."
_BLOCK = re.compile(r"^model\.backbone\.encoder\.blocks\.(\d+)\.(?:blocks|layers)\.(\d+)\.")
_BRANCHES = re.compile(
    r"^(.*)\.(?:identity|conv_symmetric\.\d+|conv_small_symmetric)\."
    r"(?:convolution\.|normalization\.)?\w+$"
)
_EPSILON = 1e-5

_Names = tuple[tuple[str, str], ...]

_LAYER: _Names = ((r"\.convolution\.", ".conv."), (r"\.normalization\.", ".norm."))
_SVTR: _Names = (
    (r"\.self_attn\.qkv\.", ".attention.qkv."),
    (r"\.self_attn\.projection\.", ".attention.project."),
    (r"\.layer_norm1\.", ".attention_norm."),
    (r"\.layer_norm2\.", ".perceptron_norm."),
    (r"\.mlp\.fc1\.", ".perceptron.0."),
    (r"\.mlp\.fc2\.", ".perceptron.2."),
)
_V6_BLOCK: _Names = (
    # A convolution that Transformers keeps without a norm has it folded.
    (r"\.token_conv\.(weight|bias)$", r".depthwise.conv.\1"),
    (r"\.token_conv\.", ".depthwise."),
    (r"\.token_squeeze_excitation\.convolutions\.0\.", ".excite.reduce."),
    (r"\.token_squeeze_excitation\.convolutions\.2\.", ".excite.expand."),
    (r"\.channel_conv1\.", ".expand."),
    (r"\.channel_conv2\.", ".project."),
)

_NAMES: dict[str, _Names] = {
    "ppocrv6_tiny": (
        (r"^model\.backbone\.encoder\.convolution\.conv1\.", "backbone.layers.0."),
        (r"^model\.backbone\.encoder\.convolution\.conv2\.", "backbone.layers.2."),
        *_V6_BLOCK,
        (r"^head\.conv1\.", "backbone.neck.0.conv."),
        (r"^head\.norm1\.", "backbone.neck.0.norm."),
        (r"^head\.conv2\.", "backbone.neck.2.conv."),
        (r"^head\.norm2\.", "backbone.neck.2.norm."),
        (r"^head\.fc1\.", "backbone.reduce."),
        (r"^head\.fc2\.", "classifier."),
        *_LAYER,
    ),
    "ppocrv6_small": (
        (r"^model\.backbone\.encoder\.convolution\.stem1\.", "backbone.layers.0.enter."),
        (r"^model\.backbone\.encoder\.convolution\.stem2a\.", "backbone.layers.0.narrow."),
        (r"^model\.backbone\.encoder\.convolution\.stem2b\.", "backbone.layers.0.widen."),
        (r"^model\.backbone\.encoder\.convolution\.stem3\.", "backbone.layers.0.join."),
        (r"^model\.backbone\.encoder\.convolution\.stem4\.", "backbone.layers.0.leave."),
        *_V6_BLOCK,
        (r"^head\.encoder\.conv_block\.0\.", "backbone.skip."),
        (r"^head\.encoder\.conv_block\.1\.", "backbone.enter."),
        (r"^head\.encoder\.conv_block\.2\.", "backbone.near."),
        (r"^head\.encoder\.svtr_block\.", "backbone.mix."),
        (r"^head\.encoder\.norm\.", "backbone.mix.2."),
        (r"^head\.head\.", "classifier."),
        *_SVTR,
        *_LAYER,
    ),
    "pplcnetv3": (
        (r"^model\.backbone\.encoder\.convolution\.", "backbone.layers.0."),
        (r"\.depthwise_convolution\.", ".depthwise."),
        (r"\.pointwise_convolution\.", ".pointwise."),
        (r"\.squeeze_excitation_module\.convolutions\.0\.", ".excite.reduce."),
        (r"\.squeeze_excitation_module\.convolutions\.2\.", ".excite.expand."),
        (r"\.act\.lab\.scale$", ".after.weight"),
        (r"\.act\.lab\.bias$", ".after.bias"),
        (r"\.lab\.scale$", ".before.weight"),
        (r"\.lab\.bias$", ".before.bias"),
        *(
            (rf"^head\.encoder\.conv_block\.{index}\.", f"backbone.neck.{ours}.")
            for index, ours in enumerate(("narrow", "enter", "widen", "join", "leave"))
        ),
        (r"^head\.encoder\.svtr_block\.", "backbone.neck.mix."),
        (r"^head\.encoder\.norm\.", "backbone.neck.mix.2."),
        (r"^head\.head\.", "classifier."),
        *_SVTR,
        *_LAYER,
    ),
}
_FIRST_BLOCK = {"ppocrv6_tiny": 3, "ppocrv6_small": 1, "pplcnetv3": 1}
"""The number of our first block, by architecture."""


def transformers_arch(names: Mapping[str, Tensor]) -> str | None:
    """The architecture that tensors of Transformers are of; None if they are none of these."""
    if not any(name.startswith(_PREFIX) for name in names):
        return None
    if any(".depthwise_convolution." in name for name in names):
        return "pplcnetv3"
    if f"{_PREFIX}convolution.stem1.convolution.weight" in names:
        return "ppocrv6_small"
    return "ppocrv6_tiny"


def from_transformers(arch: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of Transformers under this project's names, branches added up."""
    found = {match.groups() for name in tensors if (match := _BLOCK.match(name))}
    blocks = {key: n for n, key in enumerate(sorted(found, key=lambda k: (int(k[0]), int(k[1]))))}
    renamed = {}
    for name, tensor in _joined(tensors).items():
        new = name
        if match := _BLOCK.match(name):
            index = blocks[match.groups()] + _FIRST_BLOCK[arch]
            new = f"backbone.layers.{index}.{name[match.end() :]}"
        for pattern, replacement in _NAMES[arch]:
            new = re.sub(pattern, replacement, new)
        # One-dimensional convolutions are rows of two-dimensional ones.
        renamed[new] = tensor.unsqueeze(2) if tensor.dim() == 3 else tensor
    return _upright(arch, renamed)


def _joined(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace the branches of a layer by the one convolution that they add up to."""
    layers: dict[str, dict[str, Tensor]] = {}
    others = {}
    for name, tensor in tensors.items():
        if match := _BRANCHES.match(name):
            layers.setdefault(match[1], {})[name[len(match[1]) + 1 :]] = tensor
        else:
            others[name] = tensor
    for name, branches in layers.items():
        weight, bias = _sum_of(branches)
        others[f"{name}.convolve.conv.weight"] = weight
        others[f"{name}.convolve.conv.bias"] = bias
    return others


def _sum_of(branches: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    kernels = {n.partition(".convolution.")[0]: t for n, t in branches.items() if t.dim() == 4}
    full = max(kernels.values(), key=lambda kernel: kernel.shape[-1])
    weight, bias = torch.zeros_like(full), torch.zeros(len(full))
    middle = full.shape[-1] // 2
    if "identity.weight" in branches:
        scale, shift = _norm(branches, "identity.")
        if full.shape[1] == 1:
            weight[:, 0, middle, middle] += scale
        else:
            weight[:, :, middle, middle] += torch.diag(scale)
        bias += shift
    for name, kernel in kernels.items():
        scale, shift = _norm(branches, f"{name}.normalization.")
        part = kernel * scale[:, None, None, None]
        if part.shape == full.shape:
            weight += part
        else:
            weight[:, :, middle, middle] += part[:, :, 0, 0]
        bias += shift
    return weight, bias


def _norm(branches: Mapping[str, Tensor], prefix: str) -> tuple[Tensor, Tensor]:
    """A norm as a factor and an offset per channel."""
    weight, bias, mean, variance = (
        branches[prefix + key] for key in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / torch.sqrt(variance + _EPSILON)
    return scale, bias - mean * scale


def _upright(arch: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as PyTorch has them, outputs first, where a file has them the other way."""
    classifier = state_dict.get(CLASSIFIER)
    features = BACKBONES[arch].out_features
    if classifier is None or classifier.shape[1] == features or classifier.shape[0] != features:
        return state_dict
    return {
        name: tensor.T.contiguous() if tensor.dim() == 2 else tensor
        for name, tensor in state_dict.items()
    }
