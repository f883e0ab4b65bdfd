"""A model on its way to workers that may be on other machines: files as bytes, with hashes."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crnn_runtime import Decoding, Detector, ModelError, Recognizer
from crnn_runtime.backends import BACKENDS, open_backend
from crnn_runtime.decode.decoding import open_decoder
from crnn_runtime.model.engine_file import read_engine, sidecar_path
from crnn_runtime.model.model_file import find_kind, has_suffix
from crnn_runtime.model.onnx_bytes import self_contained
from crnn_runtime.turning import Turn
from crnn_serve.pages import Pages, content_of, detector_files

_ONNX, _ENGINE, _CARD = "model.onnx", "model.trt", "card.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """All that a worker needs to open a `Recognizer` like everybody else's.

    Attributes:
        name: as the user gave it.
        model: name of its file among ``files``.
        files: name → content; what the model, its card and the decoder are made of.
        hashes: name → SHA-256 of the content.
        card: name of the model card's file, if it is not in the model.
        decoding: how outputs become text; its files are names among ``files``.
        turn: see `Recognizer`.
        pages: pictures are pages, whose lines are found first; None if they are lines.
        detector: name of its file among ``files``, if there are pages.
    """

    name: str
    model: str
    files: Mapping[str, bytes]
    hashes: Mapping[str, str]
    card: str | None = None
    decoding: Decoding
    turn: Turn | None = None
    pages: Pages | None = None
    detector: str | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU only: it is an engine, or its detector is."""
        return any(has_suffix(name, "engine") for name in (self.model, self.detector or ""))

    def open(self, device: str, threads: int, batch_size: int | None) -> Recognizer:
        """The recognizer, from files that exist only while it is opened.

        Raises:
            ModelError: a file is not what was sent, or the model cannot be used.
            MissingDependencyError: the library or the device is missing here.
        """
        with self._unpacked() as folder:
            return Recognizer(
                folder / self.model,
                device=device,
                threads=threads,
                batch_size=batch_size or "auto",
                decoder=self._decoding_in(folder),
                card=self.card and folder / self.card,
                turn=self.turn,
            )

    def open_detector(self, device: str, threads: int) -> Detector:
        """Opens the detector that finds the lines of ``pages``; raises as `open` does."""
        assert self.pages is not None
        assert self.detector is not None
        with self._unpacked() as folder:
            return Detector(folder / self.detector, device, threads, self.pages.detection)

    @contextmanager
    def _unpacked(self) -> Iterator[Path]:
        """A folder with the files."""
        with tempfile.TemporaryDirectory(prefix="crnn-bulk-") as folder:
            for name, content in self.files.items():
                if hashlib.sha256(content).hexdigest() != self.hashes[name]:
                    raise ModelError(f"{name} of {self.name} arrived damaged: start again")
                (Path(folder) / name).write_bytes(content)
            yield Path(folder)

    def _decoding_in(self, folder: Path) -> Decoding:
        paths = {
            name: folder / str(value)
            for name in ("lm", "lexicon")
            if (value := getattr(self.decoding, name)) is not None
        }
        return dataclasses.replace(self.decoding, **paths)  # type: ignore[arg-type]


def pack(
    name: str,
    decoding: Decoding,
    card: str | None = None,
    alphabet: str | None = None,
    turn: Turn | None = None,
    *,
    pages: Pages | None = None,
    detector: str | None = None,
) -> Reader:
    """Read a model's files, and see that they can be used together.

    Args:
        name: of a reader, or a path.
        decoding: with paths of files on this machine.
        card: path of the card of an ONNX file that has none inside.
        alphabet: of such a file, where its card has none.
        turn: see `Recognizer`.
        pages: how pages are read, None if pictures are lines.
        detector: of pages: a name, an ONNX file or an engine; None is the first that is installed.

    Raises:
        CrnnError: a file is missing or cannot be used.
    """
    path, kind = find_kind(name, *BACKENDS)
    files: dict[str, bytes] = {}
    if kind == "onnx":
        with open_backend(path, "cpu", 1, card=card, alphabet=alphabet) as backend:
            open_decoder(decoding, backend.card)
            files[_ONNX] = self_contained(path)
            if backend.card.graph is not None:  # it is not in the file
                files[_CARD] = backend.card.to_json().encode()
    else:  # an engine may be opened where it will run only
        if card is not None or alphabet is not None:
            open_backend(path, card=card, alphabet=alphabet)  # says why not
        open_decoder(decoding, read_engine(path)[0])
        files[_ENGINE] = content_of(path)
        files[sidecar_path(Path(_ENGINE)).name] = content_of(sidecar_path(path))
    finding = detector_files(detector, pages.detection) if pages is not None else {}
    files |= finding
    changes: dict[str, str] = {}
    for option in ("lm", "lexicon"):
        if (value := getattr(decoding, option)) is not None:
            changes[option] = f"{option}{Path(value).suffix}"
            files[changes[option]] = content_of(Path(value))
    return Reader(
        name=name,
        model=next(iter(files)),
        files=files,
        hashes={each: hashlib.sha256(content).hexdigest() for each, content in files.items()},
        card=_CARD if _CARD in files else None,
        decoding=dataclasses.replace(decoding, **changes),  # type: ignore[arg-type]
        turn=turn,
        pages=pages,
        detector=next(iter(finding), None),
    )
