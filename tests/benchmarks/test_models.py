from pathlib import Path

import pytest
from refusals import refused
from tiny_reader import write_tiny_reader

from crnn.backbones import BACKBONES
from crnn_benchmarks.harness.machine import commit, this_machine, versions
from crnn_benchmarks.harness.models import Subject, _key, model_file, subject_of, torch_model
from crnn_benchmarks.harness.roofline import cost, measure_peak
from crnn_runtime.errors import CrnnError
from crnn_runtime.installed import cache_folder


def test_random_weights_are_the_same_every_time() -> None:
    lite = Subject(name="lite", arch="lite", alphabet="digits")
    first, second = (torch_model(lite)[0].state_dict() for _ in range(2))
    assert all(bool((first[name] == second[name]).all()) for name in first)


def test_the_cache_tells_networks_apart() -> None:
    subjects = [
        Subject(name="x", arch=arch, alphabet=alphabet)
        for arch in ("lite", "resnet_cifar")
        for alphabet in ("digits", "latin")
    ]
    assert len({_key(subject) for subject in subjects}) == 4
    assert _key(subjects[0]) == _key(Subject(name="y", arch="lite", alphabet="0123456789"))


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "crnn" / "bench"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CrnnError, match="cannot make"):
        cache_folder()


def test_a_file_is_what_it_is(tmp_path: Path) -> None:
    path = write_tiny_reader(tmp_path / "tiny.onnx")
    subject = subject_of(str(path))
    assert subject.name == "tiny.onnx"
    assert not subject.is_checkpoint
    assert model_file(subject) == path
    with refused("tiny.onnx", "fp32", "int8"):
        model_file(subject, "int8")
    with refused("tiny.onnx"):
        torch_model(subject)
    with pytest.raises(CrnnError, match=r"gone\.pth"):
        subject_of("gone.pth")
    assert subject_of("digits").name == "digits"  # a reader that ships


def test_operations_are_counted_as_the_documents_say() -> None:
    model, _ = torch_model(Subject(name="lite", arch="lite"))  # 5,990 classes
    flop, traffic = cost(model, 1, 32, 280)
    assert flop / 1e9 == pytest.approx(0.240, abs=0.002)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert traffic > weights
    four, more = cost(model, 4, 32, 280)
    assert four == pytest.approx(4 * flop)
    assert traffic < more < 4 * traffic  # the weights are read once


@pytest.mark.parametrize("arch", BACKBONES)
def test_every_architecture_can_be_counted(arch: str) -> None:
    model, card = torch_model(Subject(name=arch, arch=arch, alphabet="digits"))
    flop, traffic = cost(model, 1, card.height, 280)
    assert flop > 1e8
    assert traffic > 1e6


def test_the_machine_is_described_without_naming_it() -> None:
    import platform

    machine = this_machine()
    assert machine.id == this_machine().id
    assert machine.cpus >= 1
    assert machine.memory > 1 << 28
    assert machine.cpu
    assert platform.node() not in repr(machine)
    assert versions()["python"] == platform.python_version()
    assert commit()


def test_a_roof_is_higher_than_what_stands_under_it() -> None:
    peak = measure_peak("onnxruntime", 1)
    assert 1e9 < peak.flops < 1e13
    assert 1e8 < peak.bandwidth < 1e12
