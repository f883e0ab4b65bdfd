"""One server of the page for all tests that ask it."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from barcode import barcode_card, write_barcode_reader

if TYPE_CHECKING:
    from web_server import Served

LINES = Path(__file__).parents[3] / "examples" / "lines"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Served]":
    from web_server import LARGEST, served

    folder = tmp_path_factory.mktemp("web")
    bars = write_barcode_reader(folder / "bars.onnx", barcode_card(head="greedy"))
    given = ["--reader", "digits", "--reader", str(bars), "--folder", str(LINES)]
    given += ["--max-upload", str(LARGEST)]
    with served(folder / "asked", *given) as server:
        yield server
        assert server.process.poll() is None, "the server ended on the way"
        server.process.send_signal(signal.SIGINT)
        errors = server.process.communicate(timeout=30)[1]
        assert server.process.returncode == 130
        assert errors.endswith("Interrupted\n")
        assert "Traceback" not in errors
        assert (folder / "asked").read_text() == "", "the server looked for other machines"
