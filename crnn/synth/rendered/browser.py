"""A Chromium without a window, told what to do through pipes (Chrome DevTools Protocol)."""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from crnn_runtime.errors import CrnnError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_ARGUMENTS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
    "--hide-scrollbars", "--disable-extensions", "--disable-background-networking",
    "--disable-dev-shm-usage",
)  # fmt: skip
_PATIENCE = 60.0  # seconds for an answer


class Browser:
    """Draws pages of HTML.

    Attributes:
        process: its number.

    Raises:
        CrnnError: no Chromium is installed, it ends, or it does not answer.
    """

    def __init__(self, folder: str) -> None:
        program = next(filter(None, map(shutil.which, _NAMES)), None)
        if program is None:
            raise CrnnError(f"no {_NAMES[0]} to draw pages with: `make system` installs it")
        arguments = [program, *_ARGUMENTS, f"--user-data-dir={folder}"]
        if os.geteuid() == 0:  # its sandbox refuses to run as root
            arguments.append("--no-sandbox")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR)
        # It reads commands from descriptor 3 and answers to 4.
        ends = [(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
        ends += [(os.POSIX_SPAWN_DUP2, nothing, number) for number in (1, 2)]
        self.process = os.posix_spawn(program, arguments, os.environ, file_actions=ends)
        for descriptor in (theirs_in, theirs_out, nothing):
            os.close(descriptor)
        self._buffer = b""
        self._asked = 0
        self._session: str | None = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._frame = self._ask("Page.getFrameTree")["frameTree"]["frame"]["id"]

    def draw(
        self, html: str, script: str, *, width: int, scale: float
    ) -> tuple[npt.NDArray[np.uint8], Any]:
        """Draw a page.

        Args:
            html: of the page.
            script: an expression in JavaScript.
            width: of the window, in CSS pixels; the height is the page's own.
            scale: device pixels per CSS pixel.

        Returns:
            (H, W, 3) RGB in device pixels, and the value of the expression.
        """
        self._resize(width, 600, scale)
        self._ask("Page.setDocumentContent", frameId=self._frame, html=html)
        height = self._evaluate("document.fonts.ready.then(() => document.body.scrollHeight)")
        self._resize(width, height, scale)
        value = self._evaluate(script)
        coded = self._ask("Page.captureScreenshot", format="png")["data"]
        pixels = np.frombuffer(base64.b64decode(coded), np.uint8)
        return np.asarray(cv2.imdecode(pixels, cv2.IMREAD_COLOR_RGB), np.uint8), value

    def close(self) -> None:
        """End the browser."""
        os.close(self._out)
        os.close(self._in)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)

    def _resize(self, width: int, height: int, scale: float) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **metrics)

    def _evaluate(self, expression: str) -> Any:  # noqa: ANN401
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self._ask("Runtime.evaluate", **asked)
        if "exceptionDetails" in answer:
            raise CrnnError(f"the browser cannot evaluate {expression[:40]!r}")
        return answer["result"]["value"]

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401
        self._asked += 1
        message: dict[str, Any] = {"id": self._asked, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        try:
            data = json.dumps(message).encode() + b"\0"
            while data:
                data = data[os.write(self._out, data) :]
        except BrokenPipeError as error:
            raise CrnnError(f"the browser ended at {method}") from error
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._asked:
                if "error" in answer:
                    raise CrnnError(f"the browser refuses {method}: {answer['error']['message']}")
                found: dict[str, Any] = answer["result"]
                return found

    def _next(self) -> bytes:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], _PATIENCE)[0]:
                raise CrnnError(f"the browser has not answered for {_PATIENCE:.0f} seconds")
            if not (more := os.read(self._in, 1 << 20)):
                raise CrnnError("the browser ended")
            self._buffer += more
        message, self._buffer = self._buffer.split(b"\0", 1)
        return message


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser with a profile of its own, ended and removed at the end.

    Raises:
        CrnnError: see `Browser`.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            yield browser
        finally:
            browser.close()
