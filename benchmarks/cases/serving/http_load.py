"""Requests of one image each over many connections, from one thread that costs little.

A client library would take more of the processor than the server does: here a request is
bytes made before the clock starts, and an answer is read no further than its end.
"""

import json
import selectors
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

_WAIT_SECONDS = 60.0
OUTPUTS = ("text", "confidence", "characters", "error")


def infer_request(name: str, images: Sequence[bytes], outputs: Sequence[str] = OUTPUTS) -> bytes:
    """An HTTP request of the inference protocol, images as binary data behind the JSON."""
    tensor = b"".join(struct.pack("<I", len(image)) + image for image in images)
    content = {
        "inputs": [
            {
                "name": "image",
                "shape": [len(images), 1],
                "datatype": "BYTES",
                "parameters": {"binary_data_size": len(tensor)},
            }
        ],
        "outputs": [{"name": output, "parameters": {"binary_data": False}} for output in outputs],
    }
    head = json.dumps(content).encode()
    lines = (
        f"POST /v2/models/{name}/infer HTTP/1.1",
        "Host: localhost",
        f"Inference-Header-Content-Length: {len(head)}",
        f"Content-Length: {len(head) + len(tensor)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + head + tensor


@dataclass(eq=False)
class Connection:
    """A connection that is kept."""

    socket: socket.socket
    buffer: bytes = b""
    started: float = 0.0

    @classmethod
    def open(cls, port: int) -> "Connection":
        """To the server on this machine."""
        opened = socket.create_connection(("127.0.0.1", port), timeout=_WAIT_SECONDS)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(opened)

    def ask(self, request: bytes, now: float = 0.0) -> None:
        """Send a request that counts from ``now``."""
        self.started = now
        self.socket.sendall(request)

    def poll(self) -> tuple[int, bytes] | None:
        """Read what there is: status and body, once the answer is complete.

        Raises:
            ConnectionError: the server closed the connection.
        """
        part = self.socket.recv(1 << 16)
        if not part:
            raise ConnectionError("the server closed the connection")
        self.buffer += part
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        status, *fields = head.split(b"\r\n")
        length = next(int(f[15:]) for f in fields if f.lower().startswith(b"content-length:"))
        if len(rest) < length:
            return None
        self.buffer = rest[length:]
        return int(status.split()[1]), rest[:length]

    def answer(self) -> tuple[int, bytes]:
        """Wait for the answer."""
        while (complete := self.poll()) is None:
            pass
        return complete


@dataclass
class Load:
    """The answers to the requests.

    Attributes:
        seconds: from the first request to the last answer.
        latencies: seconds of each request, in an open loop from when it was due.
        failures: answers that are no 200.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)


def closed_loop(port: int, requests: Sequence[bytes], count: int, concurrency: int) -> Load:
    """``count`` requests, always ``concurrency`` of them under way."""
    return _drive(port, requests, count, concurrency, rate=None)


def open_loop(port: int, requests: Sequence[bytes], count: int, rate: float) -> Load:
    """``count`` requests at a constant rate in 1/s, whether or not answers keep up."""
    return _drive(port, requests, count, 256, rate)


def _drive(
    port: int, requests: Sequence[bytes], count: int, connections: int, rate: float | None
) -> Load:
    load, sent = Load(), 0
    idle = [Connection.open(port) for _ in range(min(connections, count))]
    everyone = list(idle)
    with selectors.DefaultSelector() as selector:
        for connection in everyone:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        start = time.perf_counter()
        while len(load.latencies) < count:
            wait = _WAIT_SECONDS
            while idle and sent < count:
                now = time.perf_counter()
                due = now if rate is None else start + sent / rate
                if due > now:
                    wait = due - now
                    break
                idle[-1].ask(requests[sent % len(requests)], due)
                idle.pop()
                sent += 1
            ready = selector.select(wait)
            if not ready and wait == _WAIT_SECONDS:
                raise TimeoutError(f"no answer for {wait:.0f} s after {len(load.latencies)}")
            for key, _ in ready:
                if (complete := key.data.poll()) is not None:
                    load.latencies.append(time.perf_counter() - key.data.started)
                    idle.append(key.data)
                    if complete[0] != 200:
                        load.failures.append(complete[1])
        load.seconds = time.perf_counter() - start
    for connection in everyone:
        connection.socket.close()
    return load
