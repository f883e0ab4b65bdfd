"""The reader: shapes, errors, default cards."""

import pytest
import torch
from refusals import refused

import crnn
from crnn.backbones import BACKBONES, backbone_class
from crnn.model import CRNN, build_model, default_card
from crnn_runtime import Alphabet, CrnnError, ModelCard

DIGITS = Alphabet("0123456789")


@pytest.fixture(scope="module")
def lite() -> CRNN:
    torch.manual_seed(0)
    return build_model("lite", DIGITS.num_classes).eval()


@torch.no_grad()
def test_log_probabilities_are_batch_first_and_sum_to_one(lite: CRNN) -> None:
    x = torch.randn(3, 1, 32, 77)
    log_probs = lite(x)
    assert log_probs.shape == (3, lite.backbone.time_steps(77), 11)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]))
    torch.testing.assert_close(log_probs, lite.logits(x).log_softmax(-1))


@torch.no_grad()
def test_log_probabilities_are_float32_under_autocast(lite: CRNN) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = torch.randn(1, 1, 32, 64)
        assert lite.logits(x).dtype == torch.bfloat16
        assert lite(x).dtype == torch.float32


@torch.no_grad()
@pytest.mark.parametrize("arch", BACKBONES)
def test_lines_of_a_batch_do_not_mix(arch: str) -> None:
    torch.manual_seed(0)
    model = build_model(arch, 11).eval()
    x = torch.randn(3, model.backbone.in_channels, 32, 64)
    together = model.logits(x)
    scale = float(together.abs().max())
    for index in range(3):
        alone = model.logits(x[index : index + 1])[0]
        torch.testing.assert_close(together[index], alone, atol=1e-5 * scale, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("arch", BACKBONES)
def test_a_new_reader_believes_nothing(arch: str) -> None:
    torch.manual_seed(0)
    model = build_model(arch, 11).train()
    probabilities = model(torch.randn(4, model.backbone.in_channels, 32, 96)).exp()
    assert float(probabilities.max()) < 0.5


@pytest.mark.parametrize("arch", BACKBONES)
def test_every_weight_learns(arch: str) -> None:
    torch.manual_seed(0)
    model = build_model(arch, 11).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # a residual may start switched off
            torch.nn.init.ones_(module.weight)
    model(torch.randn(2, model.backbone.in_channels, 32, 64))[..., 1].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # An offset of a whole map has no effect where a norm follows, for it takes the mean away.
        assert parameter.grad.abs().max() > 0 or name.endswith(".after.bias"), name


def test_in_channels_follow_the_architecture_unless_given() -> None:
    assert build_model("lite", 11).backbone.in_channels == 1
    assert build_model("resnet_cifar", 11).backbone.in_channels == 3
    assert build_model("lite", 11, in_channels=3)(torch.zeros(1, 3, 32, 32)).shape[0] == 1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 32, 64), r"\(1, 3, 32, 64\).*\(N, 1, H, W\)"),
        ((1, 32, 64), r"\(1, 32, 64\)"),
        ((1, 1, 31, 64), r"31 x 64 .* at least 32 x 4"),
        ((1, 1, 32, 3), r"32 x 3 .* at least 32 x 4"),
    ],
)
def test_input_that_does_not_fit_is_named(shape: tuple[int, ...], message: str) -> None:
    model = build_model("vgg_bilstm", 11)
    with pytest.raises(CrnnError, match=message):
        model(torch.zeros(shape))


def test_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(CrnnError, match=r"'resnet50'.*densenet_cifar.*lite"):
        build_model("resnet50", 11)
    with pytest.raises(CrnnError, match="resnet50"):
        default_card("resnet50", DIGITS)


def test_one_class_is_no_reader() -> None:
    with pytest.raises(CrnnError, match="1 classes"):
        build_model("lite", 1)


@pytest.mark.parametrize("arch", BACKBONES)
def test_default_card_describes_the_default_model(arch: str) -> None:
    card = default_card(arch, DIGITS)
    model = build_model(arch, card.num_classes)
    assert card.arch == arch
    assert card.channels == model.backbone.in_channels
    assert card.time_stride == model.backbone.time_stride
    assert card.time_origin == model.backbone.time_origin
    assert ModelCard.from_json(card.to_json()) == card


def test_default_card_of_the_original() -> None:
    card = default_card("densenet121", DIGITS)
    assert (card.height, card.width, card.color) == (32, 280, "rgb")
    assert card.mean == (0.396, 0.576, 0.562)
    assert card.std == (0.154, 0.128, 0.130)


def test_overrides_win_and_must_fit() -> None:
    card = default_card("densenet121", DIGITS, width=None, height=48, color="bgr")
    assert (card.width, card.height, card.color) == (None, 48, "bgr")
    with refused("mean", "std"):
        default_card("densenet121", DIGITS, color="gray")
    with refused("32"):
        default_card("vgg_bilstm", DIGITS, height=16)


def test_the_package_offers_the_parts_by_name() -> None:
    assert crnn.BACKBONES is BACKBONES
    assert crnn.build_model is build_model
    assert all(getattr(crnn, name) for name in crnn.__all__)
    assert backbone_class("lite") is BACKBONES["lite"]
    with pytest.raises(AttributeError, match="no_such_part"):
        _ = crnn.no_such_part
