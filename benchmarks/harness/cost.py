"""What a network costs on paper: operations and memory traffic."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from crnn.model import CRNN

_FLOAT32 = 4


def cost(model: CRNN, batch: int, height: int, width: int) -> tuple[float, float]:
    """(operations, bytes) of a batch: a multiplication and an addition are two operations.

    Bytes are those of a float32 network whose every layer reads its input and weights
    and writes its output once: the least without fusing layers.
    """
    traffic = 0

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        nonlocal traffic
        tensors = [value for value in (*inputs, *_flat(output)) if isinstance(value, Tensor)]
        tensors += layer.parameters(recurse=False)
        traffic += _FLOAT32 * sum(tensor.numel() for tensor in tensors)

    model = model.to("meta")
    leaves = [layer for layer in model.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in leaves]
    lines = torch.zeros(batch, model.backbone.in_channels, height, width, device="meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.logits(lines)
    for hook in hooks:
        hook.remove()
    return float(counter.get_total_flops()), float(traffic)


def _flat(output: object) -> tuple[object, ...]:
    return output if isinstance(output, tuple) else (output,)
