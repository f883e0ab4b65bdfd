"""Memory of the page's server while it reads: 20,000 visits with a picture each.

    crnn-bench web

A visit is what a browser does: a picture is uploaded, the event is asked for, and its
answer is followed to its end. Clients and server share this machine.
"""

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from crnn_benchmarks.harness.inputs import draw_line, mixed_widths
from crnn_benchmarks.harness.targets import Figure, print_figures, print_machine
from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError
from crnn_serve.process import resident
from crnn_serve.web.local_server import PageServer, served

_CLIENTS = 4
_PICTURES = 64
_PARTS = 10
"""Memory is looked at as often, evenly: growth shows between the first and the last."""
_SECONDS = 120.0  # that an answer may take


@click.command(cls=Command)
@click.option("--reader", default="digits", show_default=True, help="Name or model file.")
@click.option("--visits", type=click.IntRange(min=_PARTS), default=20_000, show_default=True)
def main(reader: str, visits: int) -> None:
    """Visit the page and print what its server holds."""
    try:
        import httpx  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise CrnnError("httpx is not installed: pip install 'crnn[web]'") from error
    pictures = [
        draw_line(width, seed=n) for n, width in enumerate(mixed_widths(_PICTURES, 64, 640))
    ]
    print_machine(f"{reader}, {_CLIENTS} clients, {len(pictures)} pictures")
    with served("--reader", reader, "--keep", "60") as server:
        started = time.perf_counter()
        held = []
        for part in range(_PARTS):
            _visit(server, Path(reader).stem, pictures, visits // _PARTS)
            held.append(resident(server.process.pid))
            click.echo(f"after {visits // _PARTS * (part + 1):>6,} visits {held[-1] / 1e6:.0f} MB")
        seconds = time.perf_counter() - started
    found = Figure(
        name=f"memory of the page's server after {visits:,} visits over after {visits // _PARTS:,}",
        value=f"{held[-1] / held[0]:.3f}, {held[-1] / 1e6:.0f} MB / {held[0] / 1e6:.0f} MB; "
        f"{visits / seconds:.0f} visits/s",
        target="at most 1.05",
        holds=held[-1] <= 1.05 * held[0],
    )
    print_figures([found])


def _visit(server: PageServer, reader: str, pictures: Sequence[bytes], visits: int) -> None:
    """Many visits by a few clients.

    Raises:
        CrnnError: a line was not read.
    """
    import httpx  # noqa: PLC0415

    call = f"{server.address}/gradio_api/call/read"
    with (
        httpx.Client(timeout=_SECONDS) as client,
        ThreadPoolExecutor(_CLIENTS) as pool,
    ):

        def visit(picture: bytes) -> None:
            sent = client.post(
                f"{server.address}/gradio_api/upload", files={"files": ("line.png", picture)}
            ).raise_for_status()
            file = {
                "path": sent.json()[0], "orig_name": "line.png",
                "meta": {"_type": "gradio.FileData"},
            }  # fmt: skip
            asked = client.post(call, json={"data": [file, reader, "nothing", None]})
            event = asked.raise_for_status().json()["event_id"]
            answer = client.get(f"{call}/{event}").raise_for_status().text
            if "event: complete" not in answer or "cw-text" not in answer:
                raise CrnnError(f"a line was not read: {answer[:200]}")

        for _ in pool.map(visit, itertools.islice(itertools.cycle(pictures), visits)):
            pass
