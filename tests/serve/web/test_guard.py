"""Requests that the server lets in or refuses; needs no Gradio."""

import asyncio
import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crnn_runtime import CrnnError
from crnn_serve.guard import MAX_QUESTION, Gate, Guard
from crnn_serve.listening import is_loopback, listen
from crnn_serve.public import PublicUrl
from crnn_serve.web.server import GATE

LOCAL = frozenset({"localhost", "127.0.0.1"})


async def _inner(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
    if scope["method"] == "POST":
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        if message["type"] == "http.disconnect":
            await send({"type": "http.response.start", "status": 400, "headers": []})
            return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})


def _ask(
    path: str, *, host: str = "localhost:7860", method: str = "GET",
    headers: tuple[tuple[bytes, bytes], ...] = (), parts: int = 1, kind: str = "http",
    gate: Gate = GATE, public: PublicUrl | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The head of the answer."""
    answers: list[dict[str, Any]] = []
    left = [{"type": "http.request", "body": bytes(1 << 19), "more_body": n + 1 < parts}
            for n in range(parts)]  # fmt: skip

    async def receive() -> Any:  # noqa: ANN401
        return left.pop(0)

    async def send(message: Any) -> None:  # noqa: ANN401
        answers.append(message)

    scope = {
        "type": kind, "path": path, "method": method,
        "headers": [(b"host", host.encode()), *headers],
    }  # fmt: skip
    asyncio.run(Guard(_inner, gate, LOCAL, public)(scope, receive, send))
    return answers[0]


@pytest.mark.parametrize(
    "path", ["/", "/config", "/assets/x.js", "/gradio_api/upload", "/gradio_api/file=/tmp/x.png"]
)
def test_what_the_page_needs_comes_through_with_a_policy(path: str) -> None:
    answer = _ask(path)
    assert answer["status"] == 200
    headers = dict(answer["headers"])
    assert headers[b"a"] == b"b"
    assert headers[b"content-security-policy"].startswith(b"default-src 'self' ")
    assert b"http" not in headers[b"content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/docs", "/monitoring", "/gradio_api/info", "/gradio_api/run/read", "/login",
        "/gradio_api/proxy=http://example.com/", "/gradio_api/file=http://example.com/x.png",
        "/gradio_api/file=https://example.com/x.png", "/gradio_api/vibe-edit/", "/config/../x",
    ],
)  # fmt: skip
def test_all_else_is_not_there(path: str) -> None:
    assert _ask(path)["status"] == 404
    assert _ask("/", kind="websocket")["type"] == "websocket.close"


def test_another_name_for_this_machine_is_refused() -> None:
    assert _ask("/", host="127.0.0.1:1")["status"] == 200
    assert _ask("/", host="rebound.example:7860")["status"] == 403
    assert _ask("/gradio_api/upload", host="")["status"] == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"http://localhost:7860", 200), (b"https://localhost:7860", 200),
        (b"http://localhost:80", 403), (b"http://example.com", 403), (b"null", 403), (b"", 403),
    ],
)  # fmt: skip
def test_a_page_of_another_site_is_refused(origin: bytes, status: int) -> None:
    gate = dataclasses.replace(GATE, own_origin=True)
    headers = ((b"origin", origin),)
    for method in ("GET", "POST"):
        assert _ask("/", method=method, headers=headers, gate=gate)["status"] == status
    assert _ask("/", gate=gate)["status"] == 200


def test_an_address_of_a_proxy_lets_its_name_path_and_origin_in() -> None:
    public = PublicUrl.parse("https://Tools.example:443/lines/")
    assert public == PublicUrl("https://tools.example/lines", "tools.example", "tools.example",
                               "/lines")  # fmt: skip
    gate = dataclasses.replace(GATE, own_origin=True)
    origin = ((b"origin", b"https://tools.example"),)

    def status(path: str, **asked: Any) -> int:  # noqa: ANN401
        return _ask(path, gate=gate, public=public, **asked)["status"]

    for host in ("tools.example", "localhost:7860"):
        assert status("/config", host=host, headers=origin) == 200
        assert status("/lines/config", host=host, headers=origin) == 200
        assert status("/lines/", host=host) == 200
        assert status("/lines/docs", host=host) == 404
        assert status("/linesconfig", host=host) == 404
    assert status("/lines/config", host="other.example") == 403
    assert status("/lines/config", headers=((b"origin", b"https://other.example"),)) == 403
    moved = _ask("/lines", public=public)
    assert dict(moved["headers"])[b"location"] == b"https://tools.example/lines/"


@pytest.mark.parametrize(
    "url",
    ["tools.example/lines", "ftp://tools.example", "https://", "https://x/?a", "https://x/#a",
     "https://user@x/", "https://x:y/", "https://x/a/../b", "https://x/a b", "https://x/%2e", ""],
)  # fmt: skip
def test_what_is_no_address_of_a_page(url: str) -> None:
    with pytest.raises(CrnnError, match="--public-url"):
        PublicUrl.parse(url)
    assert PublicUrl.parse("http://[::1]:8080").host == "[::1]"


@pytest.mark.parametrize("module", ["web", "label"])
def test_a_wrong_address_is_one_line(module: str, tmp_path: Path) -> None:
    command = importlib.import_module(f"crnn_serve.{module}.cli").main
    given = [str(tmp_path)] if module == "label" else []
    result = CliRunner().invoke(command, [*given, "--public-url", "tools.example"])
    assert result.exit_code == 2
    assert "--public-url tools.example" in result.stderr


def test_long_questions_are_refused_announced_or_not() -> None:
    join = "/gradio_api/queue/join"
    length = ((b"content-length", str(MAX_QUESTION + 1).encode()),)
    assert _ask(join, method="POST", headers=length)["status"] == 413
    assert _ask(join, method="POST", headers=((b"content-length", b"-1"),))["status"] == 413
    assert _ask(join, method="POST", parts=1)["status"] == 200
    assert _ask(join, method="POST", parts=3)["status"] == 400
    assert _ask("/gradio_api/upload", method="POST", parts=3)["status"] == 200


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as listener:
        assert is_loopback(listener)
        port = listener.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "-m", "crnn_serve.web.cli", "--port", str(port)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert str(port) in line
    assert "--port" in line


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(CrnnError, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)
    with pytest.raises(CrnnError, match=r"127\.0\.0\.\.1"):
        listen("127.0.0..1", 0)
    with listen("0.0.0.0", 0) as listener:
        assert not is_loopback(listener)
