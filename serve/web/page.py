"""The page: what is on it and what happens when it is used.

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
from crnn_serve.web.blocks import Blocks
from crnn_serve.web.readers import Readers
from crnn_serve.web.scratch import period

EXAMPLES = Path(__file__).parent / "examples"
JOBS = 2
"""Lines that are read at the same time; a line already uses several processors."""
WAITING = 512
"""Requests that wait their turn; one more is told to come back later."""
VISITORS = 500
"""Visitors whose model files and progress are kept, 0.1 MB each; who was away longest goes."""
NOBODY = "nothing"
_HINT = "Drop, paste or choose a picture of one line of text – or click an example."

Sent = Mapping[str, Any] | None
"""A file as the browser sends it: where it was uploaded to, and its name."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What visitors may do.

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


class Page:
    """Events of the page.

    Args:
        readers: to choose from.
        settings: what visitors may do.
    """

    def __init__(self, readers: Readers, settings: Settings) -> None:
        self._readers = readers
        self._settings = settings
        self._examples = [
            path
            for name in readers.names
            for path in sorted(EXAMPLES.glob("*.*"))
            if path.stem.rpartition("-")[0] == name
        ]

    def build(self) -> gr.Blocks:
        """The page, its events connected."""
        keep = self._settings.keep
        with Blocks(
            title="CRNN", analytics_enabled=False, delete_cache=(period(keep), keep)
        ) as made:
            blocks: gr.Blocks = made
            gr.HTML(
                '<div class="cw-head"><h1>CRNN</h1>'
                "<p>Reads lines of text, and shows how.</p></div>",
                elem_id="cw-top",
            )
            own = gr.State({})
            with gr.Tabs():
                with gr.Tab("One line"):
                    choices = self._line_tab(own)
                with gr.Tab("Many pictures"):
                    choices.append(self._batch_tab(own))
            if self._settings.models or self._settings.paths:
                self._model_files(own, choices)
            gr.HTML(
                '<p class="cw-foot">Everything is computed on the machine that serves this page; '
                f"what is uploaded is deleted after {_duration(keep)}.</p>"
            )
        blocks.state_session_capacity = VISITORS  # read when it is served; 10,000 otherwise
        blocks.queue(max_size=WAITING, default_concurrency_limit=JOBS, api_open=False)
        return blocks

    def _choice(self, label: str, *, optional: bool = False) -> gr.Dropdown:
        names = self._readers.names
        return gr.Dropdown(
            [NOBODY, *names] if optional else names,
            value=NOBODY if optional else names[0],
            label=label,
            filterable=False,
            min_width=120,
        )

    def _line_tab(self, own: gr.State) -> list[gr.Dropdown]:
        with gr.Row(equal_height=True):
            with gr.Column(scale=6, min_width=300):
                image = gr.Image(
                    type="filepath", sources=["upload", "clipboard"], height=216, buttons=[],
                    show_label=False, elem_id="cw-image", placeholder="Drop a picture of one line",
                )  # fmt: skip
            with gr.Column(scale=5, min_width=300):
                with gr.Row():
                    reader = self._choice("Reader")
                    other = self._choice("Compare with", optional=True)
                if self._examples:
                    samples = gr.Dataset(
                        components=[gr.Image(visible=False)], type="index", label="Examples",
                        samples=[[str(path)] for path in self._examples],
                        layout="gallery", samples_per_page=12, elem_id="cw-examples",
                    )  # fmt: skip
        result = gr.HTML(
            view.message(_HINT, "hint"), elem_id="cw-result", apply_default_css=False, padding=False
        )
        gr.on(
            [image.change, reader.change, other.change], self.read, [image, reader, other, own],
            result, preprocess=False, trigger_mode="always_last", api_name="read",
            show_progress="minimal",
        )  # fmt: skip
        if self._examples:
            samples.click(
                self.example, samples, [image, reader], preprocess=False,
                api_visibility="private", show_progress="hidden",
            )  # fmt: skip
        return [reader, other]

    def _batch_tab(self, own: gr.State) -> gr.Dropdown:
        folder = self._settings.folder
        with gr.Row(equal_height=True):
            with gr.Column(scale=6, min_width=300):
                files = gr.File(
                    file_count="multiple", file_types=["image", ".zip"], height=216,
                    label="Pictures, or zip files of them", elem_id="cw-files",
                )  # fmt: skip
                whole = gr.UploadButton(
                    "Choose a whole folder", file_count="directory", size="sm", elem_id="cw-whole"
                )
            with gr.Column(scale=5, min_width=300):
                reader = self._choice("Reader")
                name = gr.Textbox(
                    label=f"or a folder of the server, below {folder.name}" if folder else "Folder",
                    placeholder=". is all of it", visible=folder is not None, elem_id="cw-folder",
                )  # fmt: skip
                with gr.Row():
                    start = gr.Button("Read all", variant="primary", elem_id="cw-start")
                    stop = gr.Button("Stop", elem_id="cw-stop", min_width=80)
        whole.upload(
            self.take_folder, whole, files, preprocess=False, api_visibility="private",
            show_progress_on=files,
        )  # fmt: skip
        report = gr.HTML(
            view.message("One picture is one line; the table comes as a CSV file.", "hint"),
            elem_id="cw-report", apply_default_css=False, padding=False,
        )  # fmt: skip
        table = gr.File(label="Table", interactive=False, visible="hidden", elem_id="cw-table")
        # Not Gradio's own way to cancel: that loses what was read.
        run = gr.State({"stop": False})
        start.click(
            lambda run: run.update(stop=False), run, concurrency_limit=None,
            api_visibility="private",
        ).then(
            self.read_many, [files, name, reader, own, run], [report, table], preprocess=False,
            api_name="read_many", concurrency_id="many", concurrency_limit=1,
            show_progress="hidden",
        )  # fmt: skip
        stop.click(
            lambda run: run.update(stop=True), run, concurrency_limit=None,
            api_visibility="private",
        )  # fmt: skip
        return reader

    def _model_files(self, own: gr.State, choices: list[gr.Dropdown]) -> None:
        with gr.Accordion("Another model file", open=False, elem_id="cw-models"):
            with gr.Row():
                if self._settings.models:
                    file = gr.File(
                        file_types=[".onnx"], label="ONNX file", height=130, elem_id="cw-model"
                    )
                if self._settings.paths:
                    with gr.Column():
                        path = gr.Textbox(
                            label="or its path on this machine", placeholder="/path/to/reader.onnx",
                            elem_id="cw-path",
                        )  # fmt: skip
                        button = gr.Button("Open", elem_id="cw-open")
            said = gr.HTML(elem_id="cw-said", apply_default_css=False)
        outputs = [own, *choices, said]
        if self._settings.models:
            file.upload(
                self.bring, [file, own], outputs, preprocess=False, api_name="bring",
                show_progress_on=said,
            )  # fmt: skip
        if self._settings.paths:
            gr.on(
                [button.click, path.submit], self.name_path, [path, own], outputs,
                preprocess=False, api_name="open", show_progress_on=said,
            )  # fmt: skip

    def example(self, number: int) -> tuple[str, str]:
        """The picture and the reader of an example."""
        try:
            path = self._examples[int(number)]
        except (TypeError, ValueError, IndexError) as error:
            raise gr.Error("There is no such example.", print_exception=False) from error
        return str(path), path.stem.rpartition("-")[0]

    def read(self, image: Sent, reader: str, other: str, own: Mapping[str, Path]) -> str:
        """One picture read by one reader or two, as HTML."""
        if not image:
            return view.message(_HINT, "hint")
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
            return view.message(_sentence(error))
        return view.side_by_side(cards, view.agreement(*lines) if len(lines) > 1 else "")

    def take_folder(self, sent: list[Sent]) -> list[str]:
        """Of a visitor's own folder, uploaded as a whole, what can be read.

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
            yield view.message(_sentence(error)), hidden

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
            return self._offered(own, view.message(_sentence(error)))

    def name_path(self, path: str | None, own: dict[str, Path]) -> tuple[Any, ...]:
        """Open a model file of this machine; connected only if visitors may."""
        name = str(path or "").strip()
        if not name:
            return self._offered(own, view.message("Give the path of a model file."))
        file = Path(name)
        try:
            return self._add(batch.Given(str(file), file), own)
        except CrnnError as error:
            return self._offered(own, view.message(_sentence(error)))

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
        """The visitor's readers, the three choices with them, and what to say."""
        names = [*self._readers.names, *own]
        first = gr.update(choices=names)
        if chosen:
            first["value"] = chosen
        return own, first, gr.update(choices=[NOBODY, *names]), first, said


def below(root: Path, name: str) -> Path | None:
    """What ``name`` stands for, links followed, if that lies in ``root``."""
    try:
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL, links in a circle
        return None
    return path if path.is_relative_to(root.resolve()) else None


def _duration(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"


def _sentence(error: Exception) -> str:
    """An error as a sentence of the page; what only the system says is of a table."""
    if isinstance(error, OSError):
        reason = error.strerror or error
        text = f"the table cannot be written: {reason}: give fewer pictures, or come back later"
    else:
        text = str(error) if isinstance(error, CrnnError) else "there is not enough memory for it"
    if text.partition(" ")[0].isalpha():  # and no name of a file
        text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
