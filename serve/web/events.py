"""Handles the page's events: a line is read, a folder becomes a table, a model is chosen.

Events take what the browser sends as it is (``preprocess=False``): Gradio would decode
every picture itself, with limits and messages of its own.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import gradio as gr

from crnn_runtime import CrnnError, ModelError
from crnn_runtime.model.model_file import demand
from crnn_runtime.picture.files import IMAGE_SUFFIXES
from crnn_runtime.picture.load import load_image, read_bytes
from crnn_serve.web import batch, view
from crnn_serve.web.readers import Readers

EXAMPLES = Path(__file__).parent / "examples"
NOBODY = "nothing"
HINT = "Drop, paste or choose a picture of one line of text – or click an example."

Sent = Mapping[str, Any] | None
"""A file as the browser sends it: where it was uploaded to, and its name."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The rights of visitors.

    Attributes:
        uploads: folder that uploaded files lie in.
        keep: seconds after which they are deleted.
        models: whether they may bring model files.
        paths: whether they may name model files of this machine.
        folder: of this machine, whose pictures they may read; None for none.
    """

    uploads: Path
    keep: int = 600
    models: bool = True
    paths: bool = True
    folder: Path | None = None

    def uploaded(self, sent: Mapping[str, Any]) -> batch.Given:
        """A file that the visitor uploaded.

        Raises:
            CrnnError: it is another.
        """
        path = below(self.uploads, str(sent.get("path") or "."))
        if path is None or not path.is_file():
            raise CrnnError("the uploaded file is not there any more: give it again")
        return batch.Given(str(sent.get("orig_name") or path.name), path)


class Events:
    """Answers to what visitors do.

    Args:
        readers: to choose from.
        settings: what visitors may do.

    Attributes:
        examples: pictures that are shown, of the readers that there are.
    """

    def __init__(self, readers: Readers, settings: Settings) -> None:
        self._readers = readers
        self._settings = settings
        self.examples = [
            path
            for name in readers.names
            for path in sorted(EXAMPLES.glob("*.*"))
            if path.stem.rpartition("-")[0] == name
        ]

    def example(self, number: int) -> tuple[str, str]:
        """The picture and the reader of an example."""
        try:
            path = self.examples[int(number)]
        except (TypeError, ValueError, IndexError) as error:
            raise gr.Error("There is no such example.", print_exception=False) from error
        return str(path), path.stem.rpartition("-")[0]

    def read(self, image: Sent, reader: str, other: str, own: Mapping[str, Path]) -> str:
        """One picture read by one reader or two, as HTML."""
        if not image:
            return view.message(HINT, "hint")
        names = [reader] if other in (None, "", NOBODY, reader) else [reader, other]
        try:
            data = read_bytes(self._settings.uploaded(image).path)
            picture = load_image(data)
            cards, lines = [], []
            for name in names:
                with self._readers.lend(str(name), own) as recognizer:
                    found = recognizer.inspect(data)
                lines.append(found.line)
                cards.append(view.card(str(name), found, recognizer.card, picture))
        except (CrnnError, MemoryError) as error:
            return view.message(sentence(error))
        return view.side_by_side(cards, view.agreement(*lines) if len(lines) > 1 else "")

    def take_folder(self, sent: list[Sent]) -> list[str]:
        """The files that can be read in a visitor's own folder, which was uploaded as a whole.

        Raises:
            gr.Error: it is not what a browser sends, or nothing of it can be read.
        """
        try:
            given = [self._settings.uploaded(each).path for each in sent if each]
        except (CrnnError, TypeError, AttributeError) as error:
            raise gr.Error("This is not what the page sends.", print_exception=False) from error
        suffixes = {*IMAGE_SUFFIXES, ".zip"}
        if found := [str(path) for path in given if path.suffix.lower() in suffixes]:
            return sorted(found, key=lambda path: Path(path).name)
        raise gr.Error("There is no picture in this folder.", print_exception=False)

    def read_many(
        self,
        files: list[Sent] | Sent,
        folder: str | None,
        reader: str,
        own: Mapping[str, Path],
        run: Mapping[str, bool],
    ) -> Iterator[tuple[str, Any]]:
        """Many pictures into a table, reporting on the way, until ``run`` says ``stop``."""
        hidden = gr.update(value=None, visible="hidden")
        try:
            given = self._given(files, folder)
            with (
                self._readers.lend(str(reader), own) as recognizer,
                self._place() as held,
                self._place() as place,
            ):
                given = batch.hold(given, held)
                table, fresh = place / "lines.csv", 0.0
                for report in batch.read_all(recognizer, given, table, lambda: run["stop"]):
                    if report.seconds - fresh > self._settings.keep / 4:
                        fresh = report.seconds
                        batch.refresh(held)
                    if report.finished:
                        kept = place.rename(place.with_name(f"table-{place.name}"))
                        shown = gr.update(value=str(kept / table.name), visible=True)
                    else:
                        shown = hidden
                    yield batch.report_html(report), shown
        except (CrnnError, MemoryError, OSError) as error:
            yield view.message(sentence(error)), hidden

    @contextmanager
    def _place(self) -> Iterator[Path]:
        """A folder for a run, which goes with it: also with a visitor who goes away."""
        place = Path(mkdtemp(dir=self._settings.uploads))
        try:
            yield place
        finally:
            rmtree(place, ignore_errors=True)

    def _given(self, files: list[Sent] | Sent, name: str | None) -> list[batch.Given]:
        sent = [files] if isinstance(files, Mapping) else files or []
        given = [self._settings.uploaded(each) for each in sent if each]
        if given:
            return given
        root, name = self._settings.folder, str(name or "").strip()
        if root is None or not name:
            raise CrnnError("There is nothing to read: give pictures or a zip file of them.")
        path = below(root, name)
        if path is None or not path.is_dir():
            raise CrnnError(f"{name} is not a folder below {root.name}.")
        return [batch.Given(path.name, path)]

    def bring(self, sent: Sent, own: dict[str, Path]) -> tuple[Any, ...]:
        """Take a visitor's model file."""
        if not sent:
            return self._offered(own, "")
        try:
            return self._add(self._settings.uploaded(sent), own)
        except CrnnError as error:
            return self._offered(own, view.message(sentence(error)))

    def name_path(self, path: str | None, own: dict[str, Path]) -> tuple[Any, ...]:
        """Open a model file of this machine; connected only if visitors may."""
        name = str(path or "").strip()
        if not name:
            return self._offered(own, view.message("Give the path of a model file."))
        file = Path(name)
        try:
            return self._add(batch.Given(str(file), file), own)
        except CrnnError as error:
            return self._offered(own, view.message(sentence(error)))

    def _add(self, given: batch.Given, own: dict[str, Path]) -> tuple[Any, ...]:
        try:
            demand(given.path, "onnx")
            with self._readers.lend_file(given.path) as recognizer:
                card = recognizer.card
        except (CrnnError, MemoryError) as error:
            # The file's own name: where it lies here is of no use to a visitor.
            raise ModelError(str(error).replace(str(given.path), given.name)) from error
        name = Path(given.name).name
        note = f"{name}: {card.arch}, {len(card.alphabet)} characters, head {card.head}."
        return self._offered({**own, name: given.path}, view.message(note, "note"), chosen=name)

    def _offered(
        self, own: dict[str, Path], said: str, chosen: str | None = None
    ) -> tuple[Any, ...]:
        """The visitor's readers, the four choices with them, and what to say."""
        names = [*self._readers.names, *own]
        first = gr.update(choices=names)
        if chosen:
            first["value"] = chosen
        return own, first, gr.update(choices=[NOBODY, *names]), first, first, said


def below(root: Path, name: str) -> Path | None:
    """Returns the path that ``name`` stands for, links followed, if it lies in ``root``."""
    try:
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL, links in a circle
        return None
    return path if path.is_relative_to(root.resolve()) else None


def sentence(error: Exception) -> str:
    """An error as a sentence of the page; what only the system says is of a table."""
    if isinstance(error, OSError):
        reason = error.strerror or error
        text = f"the table cannot be written: {reason}: give fewer pictures, or come back later"
    else:
        text = str(error) if isinstance(error, CrnnError) else "there is not enough memory for it"
    if text.partition(" ")[0].isalpha():  # and no name of a file
        text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
