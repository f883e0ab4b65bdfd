"""Other projects' names of tensors, and what their files leave unsaid.

Architecture → what its home project calls things. An architecture that has no
entry is this project's own, or PP-OCR's: `crnn.checkpoints.ppocr_names` knows its
safetensors. ONNX files are read by the order of their layers (`crnn.checkpoints.order`).
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from crnn.backbones import BACKBONES
from crnn.backbones.dtrb import BiLstms

_Names = tuple[tuple[str, str], ...]

# The toolkit that the five first architectures come from.
_FEATURES: _Names = ((r"^features\.", "backbone.layers."),)

_BILSTMS: _Names = (
    (r"^SequenceModeling\.0\.rnn\.", "backbone.lstm1."),
    (r"^SequenceModeling\.0\.linear\.", "backbone.linear1."),
    (r"^SequenceModeling\.1\.rnn\.", "backbone.lstm2."),
    (r"^SequenceModeling\.1\.linear\.", "backbone.linear2."),
    (r"^Prediction\.", "classifier."),
)

_NAMES: dict[str, _Names] = {
    "densenet_cifar": _FEATURES,
    "densenet121": _FEATURES,
    "resnet_cifar": _FEATURES,
    "mobilenetv2_cifar": (
        (r"^features\.0\.conv0\.", "backbone.layers.stem.0."),
        (r"^features\.0\.norm0\.", "backbone.layers.stem.1."),
        (r"^features\.0\.conv_final\.", "backbone.layers.head.0."),
        (r"^features\.0\.norm_final\.", "backbone.layers.head.1."),
        (r"^features\.0\.invertedresidual(\d)_(\d)\.", r"backbone.layers.stage\1.\2."),
        # Stage 0 expands nothing: depthwise and projection only.
        (r"(\.stage0\.0\.conv)\.([01])\.", r"\1.0.\2."),
        (r"(\.stage0\.0\.conv)\.3\.", r"\1.1."),
        (r"(\.stage0\.0\.conv)\.4\.", r"\1.2."),
        # The others: expansion, depthwise, projection, each with its norm.
        (r"(\.stage[1-6]\.\d\.conv)\.([01])\.", r"\1.0.\2."),
        (r"(\.stage[1-6]\.\d\.conv)\.3\.", r"\1.1.0."),
        (r"(\.stage[1-6]\.\d\.conv)\.4\.", r"\1.1.1."),
        (r"(\.stage[1-6]\.\d\.conv)\.6\.", r"\1.2."),
        (r"(\.stage[1-6]\.\d\.conv)\.7\.", r"\1.3."),
    ),
    "shufflenetv2_cifar": (
        *_FEATURES,
        # Left branch of a block that halves the resolution.
        (r"\.conv1l\.", ".branch1.0."),
        (r"\.bn1l\.", ".branch1.1."),
        (r"\.conv2l\.", ".branch1.2."),
        (r"\.bn2l\.", ".branch1.3."),
        # Its right branch ("r"), and the only branch of the other blocks.
        (r"\.conv1r?\.", ".branch2.0."),
        (r"\.bn1r?\.", ".branch2.1."),
        (r"\.conv2r?\.", ".branch2.3."),
        (r"\.bn2r?\.", ".branch2.4."),
        (r"\.conv3r?\.", ".branch2.5."),
        (r"\.bn3r?\.", ".branch2.6."),
    ),
    # meijieru/crnn.pytorch
    "vgg_bilstm": (
        (r"^cnn\.conv(\d)\.", r"backbone.layers.conv\1."),
        (r"^cnn\.batchnorm(\d)\.", r"backbone.layers.norm\1."),
        (r"^rnn\.0\.rnn\.", "backbone.lstm1."),
        (r"^rnn\.0\.embedding\.", "backbone.between."),
        (r"^rnn\.1\.rnn\.", "backbone.lstm2."),
        (r"^rnn\.1\.embedding\.", "classifier."),
    ),
    # deep-text-recognition-benchmark and EasyOCR: numbers of layers in a sequence
    "dtrb_vgg": (
        *(
            (rf"^FeatureExtraction\.ConvNet\.{index}\.", f"backbone.layers.{ours}.")
            for index, ours in (
                (0, "conv0"), (3, "conv1"), (6, "conv2"), (8, "conv3"), (11, "conv4"),
                (12, "norm4"), (14, "conv5"), (15, "norm5"), (18, "conv6"),
            )
        ),
        *_BILSTMS,
    ),
    "dtrb_resnet": ((r"^FeatureExtraction\.ConvNet\.", "backbone.layers."), *_BILSTMS),
}  # fmt: skip

_TOOLKIT: dict[str, Any] = {"width": 280}
# Its own reader decodes every step: a full stop at a line's end may be the last one's.
_PPOCR: dict[str, Any] = {"shrink": "linear", "time_origin": 0.0}
# It keeps the ratio and repeats the last column; its own scaling is bicubic.
_EASYOCR: dict[str, Any] = {"height": 64, "pad": "edge", "shrink": "linear"}

_CARDS: dict[str, dict[str, Any]] = {
    "densenet_cifar": _TOOLKIT,
    "densenet121": _TOOLKIT,
    "resnet_cifar": _TOOLKIT,
    "mobilenetv2_cifar": _TOOLKIT,
    "shufflenetv2_cifar": _TOOLKIT,
    "vgg_bilstm": {"width": 100},
    "dtrb_vgg": {"width": 100},
    "dtrb_resnet": {"width": 100},
    # EasyOCR's sizes.
    "dtrb_vgg-256-256": _EASYOCR,
    "dtrb_resnet-512-512": _EASYOCR,
    "pplcnetv3": _PPOCR,
    "ppocrv6_tiny": _PPOCR,
    "ppocrv6_small": _PPOCR,
}
"""Architecture → fields of a card that its home project's readers have and do not say."""


def foreign_card(arch: str) -> dict[str, Any]:
    """Fields of a card that an architecture's home project has and its files do not say."""
    return _CARDS.get(arch) or _CARDS.get(arch.partition("-")[0], {})


def in_its_size(arch: str, state_dict: Mapping[str, Tensor]) -> str:
    """The architecture in the size that the tensors have, where it comes in several.

    Args:
        arch: a key of `crnn.backbones.BACKBONES`.
        state_dict: tensors under this project's names.
    """
    weight = state_dict.get("backbone.lstm1.weight_ih_l0")
    family = BACKBONES[arch]
    if weight is None or weight.dim() != 2 or not issubclass(family, BiLstms):
        return arch
    channels, hidden = weight.shape[1], weight.shape[0] // 4
    sizes = (channels, hidden) == (family.channels, family.hidden)
    return arch if sizes or channels % 16 else f"{arch}-{channels}-{hidden}"


def our_names(arch: str, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of another project's checkpoint under this project's names.

    Names that are ours already stay as they are.
    """
    renamed = {}
    for name, tensor in state_dict.items():
        new = name
        if not name.startswith("backbone."):
            for pattern, replacement in _NAMES.get(arch.partition("-")[0], ()):
                new = re.sub(pattern, replacement, new)
        renamed[new] = tensor
    return renamed
