"""The table of architectures: a new one is a class in this folder and a line here."""

import re

from crnn.backbones._base import Backbone
from crnn.backbones.densenet import DenseNet121, DenseNetCifar
from crnn.backbones.dtrb import DtrbResNet, DtrbVgg, sized
from crnn.backbones.lite import Lite
from crnn.backbones.mobilenetv2 import MobileNetV2Cifar
from crnn.backbones.pplcnetv3 import PPLCNetV3
from crnn.backbones.ppocrv6 import PPOCRv6Small, PPOCRv6Tiny
from crnn.backbones.resnet import ResNetCifar
from crnn.backbones.shufflenetv2 import ShuffleNetV2Cifar
from crnn.backbones.vgg_bilstm import VggBiLstm
from crnn_runtime.errors import CrnnError

__all__ = ["BACKBONES", "Backbone", "backbone_class"]

BACKBONES: dict[str, type[Backbone]] = {
    "densenet_cifar": DenseNetCifar,
    "densenet121": DenseNet121,
    "resnet_cifar": ResNetCifar,
    "mobilenetv2_cifar": MobileNetV2Cifar,
    "shufflenetv2_cifar": ShuffleNetV2Cifar,
    "vgg_bilstm": VggBiLstm,
    "dtrb_vgg": DtrbVgg,
    "dtrb_resnet": DtrbResNet,
    "lite": Lite,
    "pplcnetv3": PPLCNetV3,
    "ppocrv6_tiny": PPOCRv6Tiny,
    "ppocrv6_small": PPOCRv6Small,
}

_FAMILIES = {"dtrb_vgg": DtrbVgg, "dtrb_resnet": DtrbResNet}
_SIZED = re.compile(rf"({'|'.join(_FAMILIES)})-(\d+)-(\d+)")


def backbone_class(arch: str) -> type[Backbone]:
    """The class of an architecture: a key of `BACKBONES`, or such a one in other sizes.

    The families of `crnn.backbones.dtrb` take sizes behind their name:
    ``dtrb_vgg-256-256`` has 256 channels and LSTMs of 256.

    Raises:
        CrnnError: there is no such architecture.
    """
    if arch in BACKBONES:
        return BACKBONES[arch]
    if match := _SIZED.fullmatch(arch):
        channels, hidden = int(match[2]), int(match[3])
        if channels % 16 == 0 and channels and hidden:
            return sized(_FAMILIES[match[1]], channels, hidden)
    raise CrnnError(f"unknown architecture {arch!r}: choose from {', '.join(BACKBONES)}")
