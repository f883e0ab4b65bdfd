"""Limits the requests that a page's server answers, and sets the headers for browsers."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from crnn_serve.public import PublicUrl

MAX_QUESTION = 1_000_000
"""Bytes of a request that is not an upload."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The limits and headers that one page needs.

    Attributes:
        needed: paths that it asks for; all others are not there.
        policy: its content security policy: no browser may load anything from elsewhere.
        uploads: beginning of the paths that take more than `MAX_QUESTION` bytes, if any.
        own_origin: whether a request that another site's page makes is refused.
    """

    needed: re.Pattern[str]
    policy: str
    uploads: str | None = None
    own_origin: bool = False


class Guard:
    """Lets through what the page needs, of a sensible size, under a name of this machine.

    Args:
        app: the page.
        gate: what it needs.
        hosts: names in the address bar; empty for any. A page of another site whose name
            leads to this machine (DNS rebinding) has that name, and is refused.
        public: the address of a proxy before it, whose name is let in, too. Proxies may take
            its path away or leave it.
    """

    def __init__(
        self,
        app: App,
        gate: Gate,
        hosts: frozenset[str] = frozenset(),
        public: PublicUrl | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._public = public
        self._hosts = hosts | {public.host} if hosts and public else hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if self._public and self._public.path and scope["path"] == self._public.path:
            await _redirect(send, f"{self._public.url}/")
            return
        scope = self._within(scope)
        path = scope["path"]
        if scope["type"] != "http" or not self._gate.needed.fullmatch(path):
            await _refuse(scope, send, 404, "not found")
        elif self._hosts and _host(scope) not in self._hosts:
            await _refuse(scope, send, 403, "this server has another name")
        elif self._gate.own_origin and self._is_foreign(scope):
            await _refuse(scope, send, 403, "a page of another site asks")
        elif self._gate.uploads and path.startswith(self._gate.uploads):
            await self._app(scope, receive, self._with_headers(send))
        else:
            await self._limited(scope, receive, send)

    def _within(self, scope: Scope) -> Scope:
        """A request with its path below the page's own address."""
        path, prefix = scope["path"], self._public.path if self._public else ""
        if not prefix or self._gate.needed.fullmatch(path) or not path.startswith(f"{prefix}/"):
            return scope
        return {**scope, "path": path[len(prefix) :], "raw_path": None}

    def _is_foreign(self, scope: Scope) -> bool:
        """Whether a browser says that the page of another address makes this request."""
        headers = dict(scope["headers"])
        if (origin := headers.get(b"origin")) is None:
            return False
        own = [headers.get(b"host", b""), self._public.origin.encode() if self._public else b""]
        asks = origin.partition(b"://")[2].lower()
        return not asks or asks not in (each.lower() for each in own)

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
        await self._app(scope, count, self._with_headers(send))

    def _with_headers(self, send: Send) -> Send:
        own = {
            "content-security-policy": self._gate.policy,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                encoded = [(name.encode(), value.encode()) for name, value in own.items()]
                message["headers"] = [*message.get("headers", []), *encoded]
            await send(message)

        return sending


def _host(scope: Scope) -> str:
    """The name that the browser knows this server by, without the port."""
    value = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
    return re.sub(r":\d*$", "", value)


async def _redirect(send: Send, url: str) -> None:
    headers = [(b"location", url.encode())]
    await send({"type": "http.response.start", "status": 308, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})
