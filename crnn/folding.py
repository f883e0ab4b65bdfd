"""Batch norms that are part of the convolution before them.

Published files and exported graphs often hold the product of the two, a
convolution with a bias. Such a reader is trained on without the norm: a norm put
back as the identity would take the statistics of a batch in place of those that
were folded, and the reader would forget everything in its first step.
"""

from collections.abc import Container, Iterator

import torch
from torch import nn


def convolutions_and_norms(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of each convolution and of the norm that stands directly behind it."""
    before, channels = "", 0
    for name, module in model.named_modules():
        if any(module.children()):
            continue
        if isinstance(module, nn.BatchNorm2d) and channels == module.num_features:
            yield before, name
        is_convolution = isinstance(module, nn.Conv2d)
        before, channels = (name, module.out_channels) if is_convolution else ("", 0)


@torch.no_grad()
def fold_norms(model: nn.Module, names: Container[str]) -> None:
    """Give a model the form of weights in which norms are folded, layer by layer.

    In evaluation its outputs stay the same.

    Args:
        model: with its norms.
        names: of the tensors that it is to take; a bias of a convolution says that the
            norm behind it is folded.
    """
    for convolution, norm in list(convolutions_and_norms(model)):
        if f"{convolution}.bias" in names:
            layer, after = model.get_submodule(convolution), model.get_submodule(norm)
            assert isinstance(layer, nn.Conv2d)
            assert isinstance(after, nn.BatchNorm2d)
            if layer.bias is None:
                _fold(layer, after)
                model.set_submodule(norm, nn.Identity())


def _fold(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    layer.weight *= scale[:, None, None, None]
    layer.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
