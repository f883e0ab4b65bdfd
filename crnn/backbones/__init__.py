"""The table of architectures: a new one is a class in this folder and a line here."""

from crnn.backbones._base import Backbone
from crnn.backbones.densenet import DenseNet121, DenseNetCifar
from crnn.backbones.lite import Lite
from crnn.backbones.mobilenetv2 import MobileNetV2Cifar
from crnn.backbones.ppocrv6 import PPOCRv6Small, PPOCRv6Tiny
from crnn.backbones.resnet import ResNetCifar
from crnn.backbones.shufflenetv2 import ShuffleNetV2Cifar
from crnn.backbones.vgg_bilstm import VggBiLstm

__all__ = ["BACKBONES", "Backbone"]

BACKBONES: dict[str, type[Backbone]] = {
    "densenet_cifar": DenseNetCifar,
    "densenet121": DenseNet121,
    "resnet_cifar": ResNetCifar,
    "mobilenetv2_cifar": MobileNetV2Cifar,
    "shufflenetv2_cifar": ShuffleNetV2Cifar,
    "vgg_bilstm": VggBiLstm,
    "lite": Lite,
    "ppocrv6_tiny": PPOCRv6Tiny,
    "ppocrv6_small": PPOCRv6Small,
}
