"""``crnn-web``: a page to try readers on."""

from contextlib import closing
from pathlib import Path
from typing import Literal

import click

from crnn_runtime.cli.completion import MODEL
from crnn_runtime.cli.model_options import device_option, list_option, threads_option, turn_option
from crnn_runtime.console import Command
from crnn_runtime.picture.messages import silence_opencv
from crnn_serve.public import PublicUrl, public_option


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0 is any free."
)
@public_option
@click.option(
    "--reader", "readers", type=MODEL, multiple=True, metavar="NAME|FILE",
    help="Shipped reader or model file to offer first; may be repeated.",
)  # fmt: skip
@click.option(
    "--detector", metavar="NAME|FILE",
    help="Text detector that finds the lines of pages.  [default: the first installed]",
)  # fmt: skip
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Let visitors read the pictures in this folder of the server.",
)  # fmt: skip
@click.option(
    "--models/--no-models", default=None,
    help="Let visitors bring model files.  [default: on the loopback address only]",
)  # fmt: skip
@click.option(
    "--max-upload", type=click.IntRange(1), default=256, show_default=True, metavar="MB",
    help="Largest file that may be uploaded.",
)  # fmt: skip
@click.option(
    "--keep", type=click.IntRange(10), default=600, show_default=True, metavar="SECONDS",
    help="How long uploaded files are kept.",
)  # fmt: skip
@device_option
@threads_option
@turn_option
@list_option
@click.version_option(package_name="crnn")
def main(
    host: str,
    port: int,
    public: PublicUrl | None,
    readers: tuple[str, ...],
    detector: str | None,
    folder: Path | None,
    models: bool | None,
    max_upload: int,
    keep: int,
    device: str | None,
    threads: int | None,
    turn: Literal["auto"] | None,
) -> None:
    """Serve a page that reads lines of text and shows how.

    Drop a picture of a line and see its text, every character's place and confidence,
    the path of CTC, what else it may say and where the time went; compare two readers;
    find and read the lines of a page; turn many pictures into a table. It listens on
    this machine alone unless --host says otherwise, asks nothing of the network, and ends
    with Ctrl-C.

    Exit status: 130 ended with Ctrl-C, 2 wrong usage.
    """
    from crnn_serve import listening  # noqa: PLC0415 (--help must not wait)
    from crnn_serve.web import server  # noqa: PLC0415

    with listening.listen(host, port) as listener, server.quiet_gradio() as uploads:
        from crnn_serve.web.blocks import STYLE, theme  # noqa: PLC0415
        from crnn_serve.web.events import EXAMPLES, Settings  # noqa: PLC0415
        from crnn_serve.web.page import Page  # noqa: PLC0415
        from crnn_serve.web.readers import Readers  # noqa: PLC0415
        from crnn_serve.web.scratch import swept  # noqa: PLC0415
        from crnn_serve.web.whole_page import LineFinder  # noqa: PLC0415

        silence_opencv()
        local = listening.is_loopback(listener)
        settings = Settings(
            uploads=uploads,
            keep=keep,
            models=local if models is None else models,
            paths=local,
            folder=folder,
        )
        opened = Readers(readers, device=device, threads=threads, turn=turn)
        finder = LineFinder(detector, device=device, threads=threads)
        if detector is not None:
            finder.get()  # says what is wrong with it
        page = Page(opened, settings, finder).build()
        click.echo(f"Listening on {listening.address(host, listener)} (Ctrl-C ends it)")
        if public:
            click.echo(f"for visitors of {public.url}/")
        if not local:
            click.echo("Anybody who can reach this address can use the page.", err=True)
        with closing(opened), closing(finder), swept(uploads, keep):
            server.serve(
                page, theme(), listener, host=host, public_url=public,
                max_upload=max_upload * 10**6, public=[EXAMPLES], style=STYLE,
            )  # fmt: skip


if __name__ == "__main__":
    main()
