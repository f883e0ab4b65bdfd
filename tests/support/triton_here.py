"""Whether a Triton Inference Server can be had, asked once in a process, and a request to it."""

import functools
import json
from typing import Any

from crnn_benchmarks.cases.serving.http_load import Connection
from crnn_runtime.errors import CrnnError
from crnn_serve.triton.local_server import TritonServer, install


@functools.cache
def why_no_triton() -> str:
    """Says why there is none, empty if there is; the first call may install it into the cache."""
    try:
        install()
    except CrnnError as error:
        return str(error)
    return ""


def post(server: TritonServer, request: bytes) -> tuple[int, Any]:
    """Status and content of the answer to a whole HTTP request."""
    connection = Connection.open(server.port)
    connection.ask(request)
    status, body = connection.answer()
    connection.socket.close()
    return status, json.loads(body)
