"""The lanes of an engine: made when they are needed, lent to one call at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from crnn_runtime.backends.cuda_device import on_device, releasing
from crnn_runtime.backends.tensorrt.engine import LoadedEngine
from crnn_runtime.backends.tensorrt.lane import Lane
from crnn_runtime.errors import ModelError

MAX_LANES = 2
"""Calls that run at once: one computes while the other's lines are copied."""


class Pool:
    """Lanes of one engine. Must not know who uses it: `weakref.finalize` closes it."""

    def __init__(self, loaded: LoadedEngine) -> None:
        self._loaded = loaded
        self._idle: list[Lane] = []
        self._made = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def contexts(self) -> list[int]:
        """Execution contexts of each lane that is idle."""
        with self._changed:
            return [lane.contexts for lane in self._idle]

    @contextmanager
    def lane(self) -> Iterator[Lane]:
        """Borrow a lane; waits for one when all are busy.

        Raises:
            ModelError: the pool is closed.
        """
        lane = self._borrow()
        try:
            yield lane
        except BaseException:
            self._retire(lane)  # a failed call may have left it in any state
            raise
        with self._changed:
            self._idle.append(lane)
            try:
                if (kernels := self._loaded.kernels) and kernels.due and self._nothing_runs():
                    with on_device(self._loaded.device):
                        kernels.save()
            finally:  # else whoever waits for the lane waits for ever
                self._changed.notify_all()

    def close(self) -> None:
        """Release all lanes, when those that are lent have come back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(self._nothing_runs)
            with releasing(self._loaded.device) as quietly:
                kernels = self._loaded.kernels
                if kernels is not None:
                    quietly(kernels.save)
                while self._idle:
                    self._idle.pop().close()
                self._made = 0
                if kernels is not None:
                    kernels.close()
                self._loaded.engine = None  # its weights are on the GPU

    def _nothing_runs(self) -> bool:
        return len(self._idle) == self._made

    def _borrow(self) -> Lane:
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or bool(self._idle) or self._made < MAX_LANES
            )
            if self._closed:
                raise ModelError("the engine was closed while lines were waiting for it")
            if self._idle:
                return self._idle.pop()
            lane = Lane(self._loaded)
            self._made += 1
            return lane

    def _retire(self, lane: Lane) -> None:
        try:
            lane.close()
        finally:
            with self._changed:
                self._made -= 1
                self._changed.notify_all()
