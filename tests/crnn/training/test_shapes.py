"""A classifier that begins as the fonts draw its characters."""

from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused

from crnn.model import CRNN, build_model
from crnn.training import TrainConfig
from crnn.training.start.shapes import start_from_shapes
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet


def config(**changes: Any) -> TrainConfig:  # noqa: ANN401
    options: dict[str, Any] = {
        "arch": "lite",
        "alphabet": Alphabet("O0QIl1 "),
        "directory": Path("x"),
        "synth": "latin",
        "synth_options": {"fonts": "packages"},
        "glyph_start": True,
    }
    return TrainConfig(**(options | changes))


def started(settings: TrainConfig) -> CRNN:
    torch.manual_seed(0)
    model = build_model(settings.arch, settings.alphabet.num_classes)
    start_from_shapes(model, settings)
    return model


@torch.no_grad()
def test_each_class_answers_to_its_own_point_and_blank_to_none() -> None:
    classifier = started(config()).classifier
    points = torch.cat([torch.zeros(1, classifier.in_features), classifier.weight[1:7]])
    assert classifier(points).argmax(1).tolist() == list(range(7))


def test_every_feature_can_learn_though_characters_are_few() -> None:
    model = started(config()).train()
    model(torch.randn(4, 1, 32, 96))[..., 1].sum().backward()
    norm = model.backbone.layers[-1]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.weight.grad is not None
    assert (norm.weight.grad != 0).all()
    assert (norm.weight != 0).all()


def test_other_features_and_other_beginnings_are_refused() -> None:
    with refused("densenet121"):
        started(config(arch="densenet121"))
    with pytest.raises(CrnnError):
        config(synth=None, dataset_root=Path("d"))
