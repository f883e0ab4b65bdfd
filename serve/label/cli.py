"""``crnn-label``: a page on which lines are labelled."""

import signal
import sys
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crnn_runtime.cli.completion import MODEL
from crnn_runtime.cli.model_options import card_option, device_option, list_option, threads_option
from crnn_runtime.console import Command
from crnn_runtime.picture.messages import silence_opencv
from crnn_serve.public import PublicUrl, public_option

if TYPE_CHECKING:
    from crnn_runtime import Recognizer
    from crnn_runtime.page.page import Page

_GOODBYE = 1  # seconds that open connections have to end


@click.command(cls=Command)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--reader", type=MODEL, default="zh", show_default=True, metavar="NAME|FILE",
    help="Shipped reader or model file that reads the lines beforehand.",
)  # fmt: skip
@card_option
@click.option(
    "--pages", is_flag=True,
    help="FOLDER holds photographs: cut their lines out into FOLDER/lines first.",
)  # fmt: skip
@click.option(
    "--detector", metavar="NAME|FILE",
    help="Text detector that finds the lines.  [default: the first known one that is installed]",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7861, show_default=True, help="0 is any free."
)
@public_option
@click.option(
    "--dev-share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.1,
    show_default=True, help="Share of the pages that goes to dev.tsv.",
)  # fmt: skip
@click.option(
    "--accept-above", type=click.FloatRange(0, 1), metavar="CONFIDENCE",
    help="Accept more certain readings than this without showing them, except for a sample.",
)  # fmt: skip
@click.option(
    "--sample", type=click.IntRange(0), default=100, show_default=True,
    help="Size of that sample, from which the number of wrong ones is estimated.",
)  # fmt: skip
@device_option
@threads_option
@list_option
@click.version_option(package_name="crnn")
def main(
    folder: Path,
    reader: str,
    card: str | None,
    pages: bool,
    detector: str | None,
    host: str,
    port: int,
    public: PublicUrl | None,
    dev_share: float,
    accept_above: float | None,
    sample: int,
    device: str | None,
    threads: int | None,
) -> None:
    """Serve a page on which the line pictures of FOLDER are labelled.

    Each line comes with its reading, the least certain first. Enter accepts it.
    FOLDER/labels.jsonl holds every answer from the moment it is given, and crnn-train takes
    FOLDER/train.tsv and FOLDER/dev.tsv. The page is served on this machine alone unless
    --host says otherwise. Ctrl-C ends it; start it again to go on.

    Exit status: 130 ended with Ctrl-C, 2 wrong usage.
    """
    if detector and not pages:
        raise click.UsageError("--detector is for photographs: give --pages too")
    from crnn_serve import listening  # noqa: PLC0415 (--help must not wait)

    with listening.listen(host, port) as listener:
        import uvicorn  # noqa: PLC0415

        from crnn_runtime import Recognizer  # noqa: PLC0415
        from crnn_runtime.readers import find_model  # noqa: PLC0415
        from crnn_serve.guard import Guard  # noqa: PLC0415
        from crnn_serve.label.app import GATE, build  # noqa: PLC0415
        from crnn_serve.label.labels import Labels, Settings  # noqa: PLC0415
        from crnn_serve.label.reading import reading  # noqa: PLC0415
        from crnn_serve.label.readings import Readings  # noqa: PLC0415

        silence_opencv()
        settings = Settings(share=dev_share, accept_above=accept_above, sample=sample)
        model = find_model(reader)
        with Recognizer(model, device, threads, card=card) as recognizer:
            if pages:
                folder = cut(folder, recognizer, detector)
            labels = Labels(folder, recognizer.card.alphabet, settings)
            click.echo(f"Listening on {listening.address(host, listener)} (Ctrl-C ends it)")
            if public:
                click.echo(f"for visitors of {public.url}/")
            if not listening.is_loopback(listener):
                click.echo("Anybody who can reach this address can see and label.", err=True)
            title = f"{(folder.parent if pages else folder).resolve().name}, read by {reader}"
            title = title.encode(errors="replace").decode()  # names need not be UTF-8
            app = Guard(build(labels, title), GATE, listening.local_names(host, listener), public)
            config = uvicorn.Config(
                app, log_level="critical", access_log=False, server_header=False,
                timeout_graceful_shutdown=_GOODBYE,
            )  # fmt: skip
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            kept = Readings(folder, model, *([Path(card)] if card else []))
            with closing(labels), reading(recognizer, labels, kept):
                uvicorn.Server(config).run(sockets=[listener])


def cut(folder: Path, recognizer: "Recognizer", detector: str | None) -> Path:
    """The folder of the lines of a folder of photographs."""
    from crnn_runtime.page.reading import Reading  # noqa: PLC0415 (lines need it not)
    from crnn_serve.label.pages import cut_pages  # noqa: PLC0415

    # Also what is read without confidence: it is what a person is asked about.
    options = Reading(least=0, crops=True)

    def read(pages: Iterable[Path]) -> "Generator[Page, None, None]":
        return recognizer.read_pages(pages, detector=detector, errors="return", options=options)

    return cut_pages(folder, read, lambda said: click.echo(said, err=True))


if __name__ == "__main__":
    main()
