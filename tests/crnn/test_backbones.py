"""The table of backbones: geometry and facts, for whatever is in it."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from crnn.backbones import BACKBONES, Backbone
from crnn.backbones._base import CONV, POOL, Window, lengths
from crnn.backbones._layers import SqueezeExcitation
from crnn.model import build_model

ARCHS = list(BACKBONES)


@pytest.fixture(scope="module", params=ARCHS)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(0)
    arch: str = request.param
    return build_model(arch, 11).backbone.eval()


@torch.no_grad()
def test_time_steps_are_exact_for_every_width(backbone: Backbone) -> None:
    least = backbone.min_width
    for width in [*range(least, least + 18), 93, 94, 95, 96, 279]:
        x = torch.zeros(1, backbone.in_channels, backbone.min_height, width)
        columns = backbone(x)
        expected = (1, backbone.time_steps(width), backbone.out_features)
        assert columns.shape == expected, f"width {width}"


@torch.no_grad()
def test_sizes_below_the_least_give_no_step(backbone: Backbone) -> None:
    height, width, channels = backbone.min_height, backbone.min_width, backbone.in_channels
    assert backbone.time_steps(width) >= 1
    assert backbone.time_steps(width - 1) == 0
    for too_small in {(height - 1, width), (height, width - 1)} - {(0, 1), (1, 0)}:
        with pytest.raises(RuntimeError):
            backbone(torch.zeros(1, channels, *too_small))


@torch.no_grad()
@pytest.mark.parametrize("extra", [0, 1, 7, 16, 32])
def test_any_height_works(backbone: Backbone, extra: int) -> None:
    height = max(32, backbone.min_height) + extra
    columns = backbone(torch.zeros(2, backbone.in_channels, height, 64))
    assert columns.shape == (2, backbone.time_steps(64), backbone.out_features)


_NOT_LINEAR = (nn.ReLU, nn.ReLU6, nn.GELU, nn.Hardswish, SqueezeExcitation)


def _linearise(module: nn.Module) -> None:
    """Make every path from pixel to step pass its gradient: equal weights, means, no
    activations, no look at the whole map."""
    for name, child in module.named_children():
        if isinstance(child, _NOT_LINEAR):
            setattr(module, name, nn.Identity())
        elif isinstance(child, nn.MaxPool2d):
            pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding)
            setattr(module, name, pool)
        elif isinstance(child, nn.Conv2d):
            nn.init.constant_(child.weight, 1 / child.weight[0].numel())
        _linearise(child)


def test_steps_are_centred_where_the_geometry_says(backbone: Backbone) -> None:
    backbone = copy.deepcopy(backbone)
    _linearise(backbone)
    width = 768
    middle = backbone.time_steps(width) // 2
    for step in (middle, middle + 1, middle + 5):
        x = torch.ones(1, backbone.in_channels, backbone.min_height, width, requires_grad=True)
        backbone.features(x)[..., step].sum().backward()
        assert x.grad is not None
        seen = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten().tolist()
        assert seen[0] > 0
        assert seen[-1] < width - 1
        centre = backbone.time_origin + step * backbone.time_stride
        assert (seen[0] + seen[-1]) / 2 == centre


# The original's facts for 5,990 classes: features, T for a line 280 wide, million
# parameters with and without the classifier, GFLOP for one line of 32 x 280.
FACTS = {
    "densenet_cifar": (342, 70, 2.82, 0.77, 5.33),
    "densenet121": (384, 35, 3.30, 1.00, 2.35),
    "resnet_cifar": (512, 35, 14.24, 11.17, 9.93),
    "mobilenetv2_cifar": (1280, 35, 9.90, 2.22, 2.08),
    "shufflenetv2_cifar": (1024, 35, 7.39, 1.25, 1.22),
}


def _costs(arch: str) -> tuple[int, int, float, float, float]:
    model = build_model(arch, 5990).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        output = model(torch.zeros(1, model.backbone.in_channels, 32, 280))
    million = [sum(p.numel() for p in m.parameters()) / 1e6 for m in (model, model.backbone)]
    gflop = counter.get_total_flops() / 1e9
    return model.backbone.out_features, output.shape[1], million[0], million[1], gflop


@pytest.mark.parametrize("arch", FACTS)
def test_size_and_cost_are_those_of_the_original(arch: str) -> None:
    features, steps, total, convolutions, gflop = _costs(arch)
    assert (features, steps) == FACTS[arch][:2]
    assert (total, convolutions, gflop) == pytest.approx(FACTS[arch][2:], abs=0.005)


def test_lite_stays_within_its_budget() -> None:
    _, steps, million, _, gflop = _costs("lite")
    assert steps >= 35
    assert million * 4 <= 12, "megabytes of float32 weights"
    assert gflop <= 0.25


def test_geometry_of_a_chain_of_windows() -> None:
    class Chain(Backbone):
        rows = (POOL,)
        columns = (CONV, POOL, Window(kernel=2, stride=1))

    # Step t sees convolution outputs 2t .. 2t + 3, centred on pixels 4t .. 4t + 6.
    assert (Chain.time_stride, Chain.time_origin) == (4, 3.0)
    assert (Chain.min_height, Chain.min_width) == (2, 7)
    assert [Chain.time_steps(width) for width in (6, 7, 10, 11)] == [0, 1, 1, 2]
    assert lengths(Chain.columns, 1) == [1, 0, 0]


def test_a_fresh_model_keeps_the_signal_alive(backbone: Backbone) -> None:
    """No layer of a new model blows up or dies: features of noise have a healthy spread."""
    torch.manual_seed(0)
    fresh = copy.deepcopy(backbone)
    with torch.no_grad():
        columns = fresh.train()(torch.randn(4, fresh.in_channels, 32, 96))
    spread = columns.std(dim=(0, 1))
    assert 0.01 < float(spread.median()) < 10
