"""A bar on the terminal: how much of the run is done, lines a second, time left."""

import contextlib
import shutil
import sys
import time
from collections import deque

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

_FORMAT = "{percentage:5.1f}% |{bar:12}| {elapsed}<{remaining}{postfix}"
_WINDOW = 20  # seconds over which the speed is averaged


def on_terminal() -> bool:
    """Whether someone looks at what is written now."""
    return sys.stderr.isatty()


class Bar:
    """The share of a run that is done; log lines go above the bar while it is open.

    Args:
        is_shown: False where nobody looks, and in all processes but the first.
    """

    def __init__(self, *, is_shown: bool) -> None:
        self.is_shown = is_shown
        self._bar: tqdm | None = None
        self._log = contextlib.ExitStack()
        self._loss = ""
        self._seen: deque[tuple[float, int]] = deque()

    def open(self) -> None:
        """Show the bar from the next step on."""
        if self.is_shown:
            self._log.enter_context(logging_redirect_tqdm())

    def step(self, progress: float, place: str, lines: int) -> None:
        """Move on.

        Args:
            progress: share of the run that is done, 0 to 1.
            place: in words.
            lines: seen in this step.
        """
        if not self.is_shown:
            return
        if self._bar is None:  # a resumed run starts where it is
            columns, rows = shutil.get_terminal_size()  # 80, 24 where the terminal says 0
            self._bar = tqdm(
                total=1.0, initial=progress, bar_format=_FORMAT, mininterval=0.3, leave=False,
                ncols=columns, nrows=rows,
            )  # fmt: skip
        self._bar.set_postfix_str(f"{self._speed(lines)}{self._loss}{place}", refresh=False)
        self._bar.update(progress - self._bar.n)

    def loss(self, value: float) -> None:
        """Show this loss from now on."""
        self._loss = f"loss {value:.4f}, "

    def say(self, what: str) -> None:
        """Show at once what takes time now."""
        if self._bar is not None:
            self._bar.set_postfix_str(what)
            self._seen.clear()  # that time says nothing about the speed of steps

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()
        self._log.close()

    def _speed(self, lines: int) -> str:
        now = time.monotonic()
        before = self._seen[-1][1] if self._seen else 0
        self._seen.append((now, before + lines))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        since, first = self._seen[0]
        speed = (before + lines - first) / (now - since) if now > since else 0
        return f"{speed:.0f} lines/s, " if speed else ""
