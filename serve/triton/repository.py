"""The model repository on disk: a version appears whole, under the next free number."""

import dataclasses
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from crnn_runtime.backends import BACKENDS, open_backend
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.engine_file import EngineRecord, read_engine, sidecar_path
from crnn_runtime.model.model_file import Kind, find_kind, has_suffix, is_foreign
from crnn_runtime.model.onnx_bytes import self_contained
from crnn_runtime.readers import is_reader_name
from crnn_serve.pages import detector_files
from crnn_serve.triton.config import reader_config
from crnn_serve.triton.options import Placement, Serving, place
from crnn_serve.triton.plain import plain_models

_CONFIG = "config.pbtxt"
_TENSOR = re.compile(r"\{([^{}]*\bdata_type\b[^{}]*)\}")
_FIELDS = (r'\bname\s*:\s*"([^"]*)"', r"\bdata_type\s*:\s*(\w+)", r"\bdims\s*:\s*(\[[^\]]*\])")
_CODE = Path(__file__).with_name("server_model.py")
_TRIES = 100  # of exports to one repository at the same time
Content = Path | bytes
"""The content of a file: another file to copy, or bytes."""


@dataclasses.dataclass(frozen=True)
class Written:
    """A version that was written.

    Attributes:
        folder: of the version.
        config: ``written``, ``kept`` as it was, or ``replaced``.
    """

    folder: Path
    config: str


def write_model(
    model: str, repository: Path, serving: Serving, *, replace_config: bool = False
) -> list[Written]:
    """Write the next version of a model; with `Serving.buckets` of one for each.

    Args:
        model: an ONNX file or engine, or the name of a shipped reader.
        repository: its folder; made if need be.
        serving: how it is to be served.
        replace_config: write ``config.pbtxt`` anew where there is one.

    Raises:
        ModelError: the model cannot be used.
        CrnnError: the folder cannot be written, or holds something else by that name.
    """
    path, kind = find_kind(model, *BACKENDS)
    finding: dict[str, bytes] = {}
    if serving.pages is not None:
        finding = detector_files(serving.detector, serving.pages.detection)
    engine = next((Path(name) for name in finding if has_suffix(name, "engine")), None)
    where = place(serving, path, kind) if engine is None else place(serving, engine, "engine")
    name = serving.name_for(Path(model) if is_reader_name(model) else path)
    card, record = _describe(path, kind)
    # The network goes there as one file, whatever it was made of here.
    content = self_contained(path) if record is None else path
    if serving.plain:
        configs = plain_models(name, path, card, record, serving, where)
        files = {"model.onnx" if record is None else "model.plan": content}
    else:
        configs = {name: reader_config(name, card, serving, where)}
        network = f"reader{'.onnx' if record is None else '.trt'}"
        files = {"model.py": _CODE, network: content, **finding}
        if record is not None:
            files[sidecar_path(Path(network)).name] = sidecar_path(path)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        # All are checked before the first is written.
        for full, config in configs.items():
            _check_folder(repository / full, config, where, replace_config)
        return [
            _add(repository / full, config, files, replace_config)
            for full, config in configs.items()
        ]
    except OSError as error:
        raise CrnnError(f"cannot write {repository}: {error.strerror or error}") from error


def _describe(path: Path, kind: Kind) -> tuple[ModelCard, EngineRecord | None]:
    """The card, and of an engine its record; checks the file as far as it goes here."""
    if kind == "engine":
        return read_engine(path)
    if is_foreign(path):
        raise ModelError(f"{path} has no model card inside: crnn-export makes a file that has one")
    with open_backend(path) as backend:
        return backend.card, None


def _check_folder(folder: Path, config: str, where: Placement, replace: bool) -> None:
    """Refuse to add a version to a model that is of another kind."""
    there = folder / _CONFIG
    if not folder.exists():
        return
    if not there.is_file():
        raise CrnnError(f"{folder} is there without {_CONFIG}: remove it or give another --name")
    text = there.read_text("utf-8", "replace")
    ours, theirs = _backend(config), _backend(text)
    if ours != theirs:
        raise CrnnError(
            f"{folder} is a model of the backend {theirs!r}, not {ours!r}: give another --name"
        )
    if not replace and _tensors(config) != _tensors(text):
        raise CrnnError(
            f"{there} describes other inputs and outputs than this model has: give another "
            "--name, or an option, with which it is written anew"
        )
    kind = "KIND_CPU" if where.gpu is None else "KIND_GPU"
    if not replace and re.search(r"KIND_\w+", text) and kind not in text:
        device = "cpu" if where.gpu is None else "cuda"
        raise CrnnError(
            f"{there} does not say {kind}: --device {device} writes it anew, or give another --name"
        )


def _backend(config: str) -> str:
    found = re.search(r'^\s*backend\s*:\s*"([^"]*)"', config, re.MULTILINE)
    return found[1] if found else ""


def _tensors(config: str) -> set[tuple[str, ...]]:
    """Name, type and shape of every input and output."""
    text = re.sub(r"^\s*#.*", "", config, flags=re.MULTILINE)
    found = ((re.search(field, block) for field in _FIELDS) for block in _TENSOR.findall(text))
    return {tuple(re.sub(r"\s", "", each[1]) if each else "" for each in one) for one in found}


def _add(folder: Path, config: str, files: Mapping[str, Content], replace: bool) -> Written:
    """Add a version to a model's folder, which is made if need be."""
    if not folder.exists() and _add_first(folder, config, files):
        return Written(folder / "1", "written")
    # The server takes no folder for a version whose name is no number.
    with _staged(folder, files) as version:
        number = _move_to_next(version, folder)
    there = folder / _CONFIG
    state = "kept"
    if not there.exists() or (replace and there.read_text("utf-8", "replace") != config):
        state = "replaced" if there.exists() else "written"
        write_atomically(there, lambda part: part.write_text(config, "utf-8"))
    return Written(folder / str(number), state)


def _add_first(folder: Path, config: str, files: Mapping[str, Content]) -> bool:
    """Make the model's folder at once, with all that is in it; False if it must be in steps.

    Beside the repository: within it the server would take any folder for a model, and
    refuse to start with an empty one.
    """
    outside = folder.parent.resolve().parent
    if not os.access(outside, os.W_OK) or outside.stat().st_dev != folder.parent.stat().st_dev:
        folder.mkdir(exist_ok=True)  # the repository is a mount of its own
        return False
    new = outside / f".{folder.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        (new / "1").mkdir(parents=True)
        _copy(files, new / "1")
        (new / _CONFIG).write_text(config, "utf-8")
        try:
            new.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            return False  # another export was first
        return True
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextmanager
def _staged(folder: Path, files: Mapping[str, Content]) -> Iterator[Path]:
    part = folder / f".{uuid.uuid4().hex[:8]}.part"
    try:
        part.mkdir()
        _copy(files, part)
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _copy(files: Mapping[str, Content], folder: Path) -> None:
    for name, source in files.items():
        if isinstance(source, bytes):
            (folder / name).write_bytes(source)
        else:
            shutil.copyfile(source, folder / name)
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())


def _move_to_next(version: Path, folder: Path) -> int:
    """Rename to the next number; another export may take it in between."""
    for _ in range(_TRIES):
        numbers = [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()]
        number = max(numbers, default=0) + 1
        try:
            version.rename(folder / str(number))
        except OSError:
            if not (folder / str(number)).exists():
                raise
            continue
        return number
    raise CrnnError(f"cannot find a free version in {folder}: is it written all the time?")
