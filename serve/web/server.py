"""The page as a server: what it lets in, what it sends, how it starts and ends."""

import ipaddress
import os
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from crnn_runtime import CrnnError

MAX_QUESTION = 1_000_000
"""Bytes of a request that is not an upload."""
_GOODBYE = 1  # seconds that open connections have to end
_NEEDED = re.compile(
    r"/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)?"
    r"|/(assets|static|svelte)/.*"
    r"|/gradio_api/(upload|upload_progress|queue/join|queue/data|call/.*|cancel|reset"
    r"|heartbeat/[^/]*|startup-events|app_id|theme\.css|file=(?!https?:).*)/?",
    re.DOTALL,
)
"""What the page asks for. Gradio answers much more, which nobody needs here."""
_HEADERS = {
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""No browser may load anything for this page from elsewhere."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Lets through what the page needs, of a sensible size, under a name of this machine.

    Args:
        app: the page.
        hosts: names in the address bar; empty for any. A page of another site whose name
            leads to this machine (DNS rebinding) has that name, and is refused.
    """

    def __init__(self, app: App, hosts: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if scope["type"] != "http" or not _NEEDED.fullmatch(path):
            await _refuse(scope, send, 404, "not found")
        elif self._hosts and _host(scope) not in self._hosts:
            await _refuse(scope, send, 403, "this server has another name")
        elif path.startswith("/gradio_api/upload"):
            await self._app(scope, receive, _with_headers(send))
        else:
            await self._limited(scope, receive, send)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def count() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            # What is left of it is never read: the connection ends.
            return message if taken <= MAX_QUESTION else {"type": "http.disconnect"}

        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_QUESTION:
            await _refuse(scope, send, 413, f"more than {MAX_QUESTION} bytes")
            return
        await self._app(scope, count, _with_headers(send))


def _host(scope: Scope) -> str:
    """The name that the browser knows this server by, without the port."""
    value = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
    return re.sub(r":\d*$", "", value)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *own]
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        CrnnError: the address is not this machine's or is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except (OSError, UnicodeError) as error:  # the second of a name that cannot be one
        reason = error.strerror if isinstance(error, OSError) else "not the name of a machine"
        raise CrnnError(
            f"cannot listen on {host} port {port}: {reason}: "
            "give another --host or --port (0 is any that is free)"
        ) from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def address(host: str, listener: socket.socket) -> str:
    """What to type into a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


@contextmanager
def quiet_gradio() -> Iterator[Path]:
    """Gradio without telemetry and downloads, its files in a folder that goes with it.

    Gives that folder. To be entered before Gradio is imported.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_OFFLINE"] = "1"
    with TemporaryDirectory(prefix="crnn-web-") as folder:
        os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"  # it keeps 10,000, for nobody here
        os.environ["GRADIO_TEMP_DIR"] = folder
        from gradio import processing_utils  # noqa: PLC0415 (after its environment)

        async def refuse(*_: object, **__: object) -> NoReturn:
            raise CrnnError("give the file itself: this server fetches nothing from elsewhere")

        # A visitor may send an address in place of a file, which Gradio would fetch.
        processing_utils.async_ssrf_protected_download = refuse
        processing_utils.async_ssrf_protected_get = refuse
        yield Path(folder)


def serve(
    blocks: Any,  # noqa: ANN401 (gradio.Blocks)
    theme: Any,  # noqa: ANN401
    listener: socket.socket,
    *,
    host: str,
    max_upload: int,
    public: list[Path],
    style: Path,
) -> None:
    """Serve a page until SIGINT or SIGTERM.

    Args:
        blocks: the page.
        theme: its theme.
        listener: where.
        host: what that is called.
        max_upload: bytes of a file.
        public: folders whose files anybody may fetch.
        style: CSS file.
    """
    import gradio as gr  # noqa: PLC0415
    import uvicorn  # noqa: PLC0415
    from fastapi import FastAPI, Request  # noqa: PLC0415
    from fastapi.responses import PlainTextResponse  # noqa: PLC0415

    async def no_room(_: Request, error: OSError) -> PlainTextResponse:
        return PlainTextResponse(f"the server cannot store it: {error.strerror}", 507)

    app = gr.mount_gradio_app(
        FastAPI(openapi_url=None), blocks, path="/", server_name=host,
        server_port=listener.getsockname()[1], footer_links=[], run_history=False,
        allowed_paths=[str(path) for path in public], show_error=False, max_file_size=max_upload,
        ssr_mode=False, mcp_server=False, pwa=False, theme=theme, css_paths=[style],
        app_kwargs={"exception_handlers": {OSError: no_room}},
    )  # fmt: skip
    # Until it is "launched" Gradio takes any path in a request for a file of the visitor's.
    blocks.has_launched = True
    local = frozenset({"localhost", "127.0.0.1", "[::1]", host.lower(), f"[{host.lower()}]"})
    guard = Guard(app, local if is_loopback(listener) else frozenset())
    config = uvicorn.Config(
        guard, log_level="critical", access_log=False, timeout_graceful_shutdown=_GOODBYE,
        server_header=False, lifespan="on",
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what is open is cleaned up
    uvicorn.Server(config).run(sockets=[listener])
