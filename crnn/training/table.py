"""Lists the architectures with their costs and receptive fields, for ``crnn-train --list``."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from crnn.backbones import BACKBONES
from crnn.model import build_model, default_card
from crnn_runtime.model.alphabet import Alphabet

_ALPHABET = Alphabet("0123456789")
_WIDE = 640


def arch_table() -> list[str]:
    """One line per architecture, below a heading.

    Parameters and FLOPs (a multiplication and an addition are two) are those of a
    reader of ten digits for one line of 32 × 280; the receptive field is in
    pixels of the line's width.
    """
    head = f"{'arch':20}{'stride':>7}{'T at 280':>9}{'sees px':>9}{'M params':>9}{'GFLOP':>7}"
    return [f"{head}  lines", *map(_row, BACKBONES)]


def _row(arch: str) -> str:
    backbone = BACKBONES[arch]
    with torch.device("meta"):
        model = build_model(arch, _ALPHABET.num_classes)
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, backbone.default_channels(), 32, 280))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    card = default_card(arch, _ALPHABET)
    field = receptive_field(arch)
    return (
        f"{arch:20}{backbone.time_stride:7}{backbone.time_steps(280):9}"
        f"{field if field < _WIDE * 3 // 4 else 'all':>9}"
        f"{parameters / 1e6:9.2f}{counter.get_total_flops() / 1e9:7.2f}"
        f"  {card.color}, {'aspect ratio kept' if card.width is None else f'width {card.width}'}"
    )


def receptive_field(arch: str) -> int:
    """Width in pixels of what one time step depends on, as measured by gradients.

    At most `_WIDE`, which a recurrent network reaches.
    """
    torch.manual_seed(0)
    model = build_model(arch, _ALPHABET.num_classes).eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # branches that begin at zero would hide their own
            nn.init.ones_(module.weight)
    backbone = BACKBONES[arch]
    # The width seen does not depend on the height, the time this takes does.
    size = (1, backbone.default_channels(), backbone.min_height, _WIDE)
    line = torch.randn(size, requires_grad=True)
    logits = model.logits(line)[0]
    logits[len(logits) // 2].square().sum().backward()  # type: ignore[no-untyped-call]
    assert line.grad is not None
    touched = line.grad[0].abs().amax(dim=(0, 1)).nonzero().flatten()
    return int(touched[-1] - touched[0]) + 1
