"""The page as a server: what it lets in, how it starts and ends."""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from crnn_runtime import CrnnError
from crnn_serve.guard import Gate, Guard
from crnn_serve.listening import local_names
from crnn_serve.public import PublicUrl

_GOODBYE = 1  # seconds that open connections have to end
_NEEDED = re.compile(
    r"/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)?"
    r"|/(assets|static|svelte)/.*"
    r"|/gradio_api/(upload|upload_progress|queue/join|queue/data|call/.*|cancel|reset"
    r"|heartbeat/[^/]*|startup-events|app_id|theme\.css|file=(?!https?:).*)/?",
    re.DOTALL,
)
"""The paths that the page asks for. Gradio answers many more, which nobody needs here."""
GATE = Gate(
    needed=_NEEDED,
    uploads="/gradio_api/upload",
    policy="default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'self'",
)


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
    public_url: PublicUrl | None,
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
        public_url: of a proxy before it.
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
        root_path=public_url.url if public_url else None,
        app_kwargs={"exception_handlers": {OSError: no_room}},
    )  # fmt: skip
    # Until it is "launched" Gradio takes any path in a request for a file of the visitor's.
    blocks.has_launched = True
    guard = Guard(app, GATE, local_names(host, listener), public_url)
    config = uvicorn.Config(
        guard, log_level="critical", access_log=False, timeout_graceful_shutdown=_GOODBYE,
        server_header=False, lifespan="on",
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what is open is cleaned up
    uvicorn.Server(config).run(sockets=[listener])
