"""The page: what is on it, and which event each part of it calls."""

import gradio as gr

from crnn_serve.web import view
from crnn_serve.web.blocks import Blocks
from crnn_serve.web.events import HINT, NOBODY, Events, Settings
from crnn_serve.web.readers import Readers
from crnn_serve.web.scratch import period
from crnn_serve.web.whole_page import LineFinder, WholePage

JOBS = 2
"""Lines that are read at the same time; a line already uses several processors."""
WAITING = 512
"""Requests that wait their turn; one more is told to come back later."""
VISITORS = 500
"""Visitors whose model files and progress are kept, 0.1 MB each; who was away longest goes."""


class Page:
    """The layout of the page.

    Args:
        readers: to choose from.
        settings: what visitors may do.
        finder: finds the lines of pages; None is the first detector that is installed.
    """

    def __init__(
        self, readers: Readers, settings: Settings, finder: LineFinder | None = None
    ) -> None:
        self._readers = readers
        self._settings = settings
        self._whole = WholePage(readers, settings, finder or LineFinder())
        self._events = Events(readers, settings)

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
                with gr.Tab("A page"):
                    choices.append(self._whole.build(self._choice("Reader", render=False), own))
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

    def _choice(self, label: str, *, optional: bool = False, render: bool = True) -> gr.Dropdown:
        names = self._readers.names
        return gr.Dropdown(
            [NOBODY, *names] if optional else names,
            value=NOBODY if optional else names[0],
            label=label,
            filterable=False,
            min_width=120,
            render=render,
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
                if self._events.examples:
                    samples = gr.Dataset(
                        components=[gr.Image(visible=False)], type="index", label="Examples",
                        samples=[[str(path)] for path in self._events.examples],
                        layout="gallery", samples_per_page=12, elem_id="cw-examples",
                    )  # fmt: skip
        result = gr.HTML(
            view.message(HINT, "hint"), elem_id="cw-result", apply_default_css=False, padding=False
        )
        gr.on(
            [image.change, reader.change, other.change], self._events.read,
            [image, reader, other, own], result, preprocess=False, trigger_mode="always_last",
            api_name="read", show_progress="minimal",
        )  # fmt: skip
        if self._events.examples:
            samples.click(
                self._events.example, samples, [image, reader], preprocess=False,
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
            self._events.take_folder, whole, files, preprocess=False, api_visibility="private",
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
            self._events.read_many, [files, name, reader, own, run], [report, table],
            preprocess=False, api_name="read_many", concurrency_id="many", concurrency_limit=1,
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
                self._events.bring, [file, own], outputs, preprocess=False, api_name="bring",
                show_progress_on=said,
            )  # fmt: skip
        if self._settings.paths:
            gr.on(
                [button.click, path.submit], self._events.name_path, [path, own], outputs,
                preprocess=False, api_name="open", show_progress_on=said,
            )  # fmt: skip


def _duration(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
