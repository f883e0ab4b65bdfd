"""Reports the progress of a build, and stops it."""

import threading
from collections.abc import Callable
from typing import Any

ProgressCallback = Callable[[str, float], None]
"""Called with the innermost phase's name and the share of the build done, 0..1, rising."""


class Progress:
    """The phases of a build as a tree of steps.

    TensorRT calls from several threads, hence the lock.
    """

    def __init__(self, report: ProgressCallback | None) -> None:
        self.stop = threading.Event()
        self.error: BaseException | None = None
        """The exception that the callback raised; TensorRT would only print it."""
        self._report = report
        self._lock = threading.Lock()
        self._phases: dict[str, _Phase] = {}
        self._share = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of ``steps`` steps begins, within the current step of its parent."""
        with self._lock:
            self._phases[name] = _Phase(self._phases.get(parent or ""), max(1, steps))
            self._tell(name)

    def step(self, name: str, step: int) -> bool:
        """A step is done; False asks TensorRT to give up."""
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
                self._tell(name)
        return not self.stop.is_set()

    def finish(self, name: str) -> None:
        """A phase ends, whether or not all its steps were made."""
        with self._lock:
            phase = self._phases.pop(name, None)
            if phase is not None and phase.parent is None:
                self._share = 1.0
                self._tell(name)

    def _tell(self, name: str) -> None:
        phase = self._phases.get(name)
        self._share = max(self._share, phase.share if phase else 1.0)
        if self._report is None or self.stop.is_set():
            return
        try:
            self._report(name, min(1.0, self._share))
        except Exception as error:
            self.error = error
            self.stop.set()


class _Phase:
    def __init__(self, parent: "_Phase | None", steps: int) -> None:
        self.parent = parent
        self.steps = steps
        self.done = 0
        self.begin, self.length = (0.0, 1.0)
        if parent is not None:
            self.begin, self.length = parent.share, parent.length / parent.steps

    @property
    def share(self) -> float:
        """Share of the whole build that is done, as far as this phase has come."""
        return self.begin + self.length * min(self.done, self.steps) / self.steps


def make_monitor(trt: Any, progress: Progress) -> Any:  # noqa: ANN401
    """A TensorRT progress monitor that feeds ``progress``."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

    return Monitor()
