"""A small reverse proxy for tests: keeps Host and the path, or takes its own prefix away."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

NAME = "tools.example"
"""Another name of this machine, in the browser of the tests alone."""
_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}


class Proxy(ThreadingHTTPServer):
    """Asks ``target`` for everything that lies below ``prefix``.

    ``strips``: as `proxy_pass http://target/;` of nginx, which also sends the target's name;
    else as `reverse_proxy` of Caddy, which keeps path and Host.
    """

    daemon_threads = True

    def __init__(self, prefix: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.prefix = prefix
        self.target = ""
        self.strips = False


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        proxy, path = self.server, self.path
        if not f"{path}/".startswith(f"{proxy.prefix}/"):
            self.send_error(404)
            return
        if proxy.strips:
            path = path.removeprefix(proxy.prefix) or "/"
        target = urlsplit(proxy.target).netloc
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP}
        headers["Host"] = target if proxy.strips else self.headers["Host"]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = http.client.HTTPConnection(target, timeout=60)
        try:
            asked.request(self.command, path, body or None, headers)
            answer = asked.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1():
                self.wfile.write(part)
                self.wfile.flush()
        except (OSError, http.client.HTTPException):  # the browser, or the server, went away
            self.close_connection = True
        finally:
            asked.close()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def proxied(prefix: str) -> Iterator[Proxy]:
    """A proxy that runs."""
    with Proxy(prefix) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
