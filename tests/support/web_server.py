"""A `crnn-web` of its own for tests: started, talked to, watched, ended."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from processes import listening

LINES = Path(__file__).parents[2] / "examples" / "lines"
LARGEST = 100  # MB that may be uploaded to the server of the tests

_WATCHED = """
import sys
log = open(sys.argv.pop(1), "a", buffering=1)
here = ("127.0.0.1", "::1", "localhost", None)
def watch(event, given):
    if event == "socket.connect" and isinstance(given[1], tuple) and given[1][0] not in here:
        log.write(f"connect {given[1]}\\n")
    elif event == "socket.getaddrinfo" and given[0] not in here:
        log.write(f"look up {given[0]}\\n")
sys.addaudithook(watch)
from crnn_serve.web.cli import main
main()
"""


@dataclass
class Served:
    """A running server: its address, process, and what it asked of the network."""

    address: str
    process: subprocess.Popen[str]
    asked: Path

    def upload(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            answer = httpx.post(
                f"{self.address}/gradio_api/upload", files={"files": (path.name, file)}, timeout=60
            )
        answer.raise_for_status()
        meta = {"_type": "gradio.FileData"}
        return {"path": answer.json()[0], "orig_name": path.name, "meta": meta}

    def call(self, name: str, *data: Any) -> list[Any] | None:  # noqa: ANN401
        """Returns the outputs of one of the page's events; None if it fails."""
        url = f"{self.address}/gradio_api/call/{name}"
        asked = httpx.post(url, json={"data": data}, timeout=120)
        asked.raise_for_status()
        event = None
        with httpx.stream("GET", f"{url}/{asked.json()['event_id']}", timeout=120) as answer:
            for line in answer.iter_lines():
                kind, _, value = line.partition(": ")
                if kind == "event":
                    event = value
                elif kind == "data" and event == "complete":
                    return json.loads(value)
                elif kind == "data" and event == "error":
                    return None
        return None


@contextmanager
def served(asked: Path, *arguments: str) -> Iterator[Served]:
    """A server on a free port, its wishes to the network written to ``asked``."""
    command = [sys.executable, "-c", _WATCHED, str(asked), "--port", "0", *arguments]
    with listening(command) as (address, process):
        yield Served(address, process, asked)


def text_of(html: str) -> list[str]:
    """The texts in the cards of a page's answer, tags removed."""
    texts = re.findall(r'<p class="cw-text">(.*?)</p>', html)
    return [re.sub(r"<[^>]*>", "", text) for text in texts]


def many_lines(path: Path, many: int = 20_000) -> Path:
    """A zip file of one line, often."""
    with zipfile.ZipFile(path, "w") as file:
        for number in range(many):
            file.writestr(f"{number}.png", (LINES / "92.png").read_bytes())
    return path
