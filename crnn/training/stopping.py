"""Ctrl-C and SIGTERM in a run: the step is finished and everything is saved."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AT_ONCE = 1.0  # seconds within which torchrun and the terminal send the same signal


class StopRequested(Exception):  # noqa: N818 (nothing went wrong)
    """Somebody wants the run to end."""

    @property
    def signal(self) -> signal.Signals:
        """The signal that asked for the end."""
        return signal.Signals(self.args[0])


class StopSignals:
    """Notes Ctrl-C and SIGTERM, which schedulers send some time before they kill.

    A second Ctrl-C ends the run where it is. A context manager; in another than the main
    thread, which alone is told of signals, it does nothing.

    Attributes:
        came: the first signal, None before.
    """

    def __init__(self) -> None:
        self.came: signal.Signals | None = None
        self._when = 0.0
        self._is_idle = False
        self._before: dict[signal.Signals, Callable[..., Any] | int | None] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    @contextlib.contextmanager
    def while_idle(self) -> Iterator[None]:
        """Wait for something inside: a signal that has come or comes ends that.

        Raises:
            StopRequested: a signal.
        """
        self._is_idle = True
        try:
            self.demand_none()
            yield
        finally:
            self._is_idle = False

    def demand_none(self) -> None:
        """Go on unless a signal has come.

        Raises:
            StopRequested: one has.
        """
        if self.came is not None:
            raise StopRequested(self.came)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.came is None:
            self.came, self._when = signal.Signals(number), time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._when > _AT_ONCE:
            raise KeyboardInterrupt
        if self._is_idle:
            raise StopRequested(self.came)
