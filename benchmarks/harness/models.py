"""Subjects of the measurements: architectures with random weights, checkpoints and exported files.

Exporting an architecture costs up to half a minute, so what was exported is kept in
the user's cache, under a name that changes with everything that goes into it.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crnn_benchmarks.harness.datasets import distinct
from crnn_benchmarks.harness.schema import Model
from crnn_runtime.errors import CrnnError
from crnn_runtime.installed import cache_folder
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.engine_file import sha256_of
from crnn_runtime.model.model_file import find_kind, kind_of
from crnn_runtime.readers import is_reader_name

if TYPE_CHECKING:
    from crnn.model import CRNN
    from crnn_runtime.model.card import ModelCard

_CALIBRATION = 8
_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """Something to measure, in words that another process understands.

    Attributes:
        name: for tables.
        arch: of random weights; None if there is a file.
        alphabet: name, file or characters, of random weights.
        file: a checkpoint, ONNX file or engine, or a shipped reader's name.
    """

    name: str
    arch: str | None = None
    alphabet: str = "zh"
    file: str | None = None

    @property
    def is_checkpoint(self) -> bool:
        """Whether PyTorch can run it and it is to be exported for the others."""
        return self.file is None or kind_of(self.file) in ("checkpoint", "safetensors")

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return dataclasses.asdict(self)


def subjects_of(models: Sequence[str]) -> list[Subject]:
    """Files and readers' names; files of one name are told apart by their folders.

    Raises:
        CrnnError: there is nothing of a name.
    """
    found = [subject_of(model) for model in models]
    places = [None if is_reader_name(each.name) else Path(each.file or "") for each in found]
    names = distinct([each.name for each in found], places)
    return [dataclasses.replace(each, name=name) for each, name in zip(found, names, strict=True)]


def subject_of(model: str) -> Subject:
    """A file or a reader's name.

    Raises:
        CrnnError: there is neither.
    """
    path, _ = find_kind(model)
    return Subject(name=model if is_reader_name(model) else path.name, file=str(path))


def model_file(subject: Subject, precision: str = "fp32") -> Path:
    """The ONNX file of a subject in a precision, exported or converted if need be.

    Precision of random weights is not judged: nothing they read means anything.

    Raises:
        CrnnError: it cannot be exported, or an exported file is of another precision.
    """
    if not subject.is_checkpoint:
        return _given_file(subject, precision)
    path = cache_folder() / f"{Path(subject.name).name}-{_key(subject, precision)}.{precision}.onnx"
    if path.is_file():
        return path
    if precision == "fp32":
        from crnn_export.to_onnx import export_onnx  # noqa: PLC0415

        model, card = torch_model(subject)
        checkpoint = Path(subject.file) if subject.file else None
        export_onnx(model, card, path, checkpoint=checkpoint)
        return path
    import numpy as np  # noqa: PLC0415

    from crnn_export.precision.gate import convert_precision  # noqa: PLC0415

    source = model_file(subject)
    card = card_of(source)
    generator = np.random.default_rng(_SEED)
    lines = [
        generator.integers(0, 256, (card.height, 280, card.channels), np.uint8)
        for _ in range(_CALIBRATION)
    ]
    convert_precision(source, path, precision, lines=lines, max_cer_loss=float("inf"))
    return path


def _given_file(subject: Subject, precision: str) -> Path:

    assert subject.file is not None
    path = Path(subject.file)
    if kind_of(path) == "engine":  # nothing but its own library opens it
        return path
    found = card_of(path).precision
    if found != precision:
        raise CrnnError(f"{path} is {found}, not {precision}: convert it with crnn-export")
    return path


def card_of(path: Path) -> "ModelCard":
    """The card of a model file."""
    from crnn_runtime.backends import open_backend  # noqa: PLC0415

    with open_backend(path) as backend:
        return backend.card


def torch_model(subject: Subject) -> "tuple[CRNN, ModelCard]":
    """The reader as PyTorch has it, in evaluation mode.

    Raises:
        CrnnError: there is no such architecture, or the file is no checkpoint.
    """
    import torch  # noqa: PLC0415

    from crnn.checkpoints import load_model  # noqa: PLC0415
    from crnn.model import build_model, default_card  # noqa: PLC0415

    if not subject.is_checkpoint:
        raise CrnnError(f"{subject.name} is no checkpoint, which PyTorch needs")
    if subject.file is not None:
        return load_model(Path(subject.file))
    assert subject.arch is not None
    card = default_card(subject.arch, Alphabet.load(subject.alphabet))
    torch.manual_seed(_SEED)
    return build_model(subject.arch, card.num_classes).eval(), card


def describe(subject: Subject, file: Path | None, card: "ModelCard") -> Model:
    """Describes a subject for a report."""
    return Model(
        name=subject.name,
        arch=card.arch,
        trained=subject.file is not None,
        classes=card.num_classes,
        size=file.stat().st_size if file else 0,
        sha256="" if subject.file is None else sha256_of(Path(subject.file)),
    )


def _key(subject: Subject, precision: str = "fp32") -> str:
    """Changes when the network, its export or a library that makes the file changes."""
    from importlib.metadata import version  # noqa: PLC0415

    import crnn  # noqa: PLC0415
    import crnn_export  # noqa: PLC0415

    digest = hashlib.sha256()
    if subject.file is not None:
        digest.update(Path(subject.file).read_bytes())
    else:
        digest.update(f"{subject.arch}/{Alphabet.load(subject.alphabet).sha256}".encode())
    for name in ("torch", "onnx", "onnxscript", "numpy"):
        digest.update(f"{name}={version(name)}".encode())
    ours, export = Path(crnn.__path__[0]), Path(crnn_export.__path__[0])
    sources = [ours / "model.py", *sorted(ours.glob("backbones/*.py"))]
    sources += [export / "to_onnx.py", export / "heads.py"]
    if precision != "fp32":
        sources += sorted(export.glob("precision*.py"))
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
