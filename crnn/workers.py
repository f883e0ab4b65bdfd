"""Processes that do tasks for this one: results in order, and no wait for one that died."""

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import resource_tracker, util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from crnn_runtime.errors import CrnnError

Task = TypeVar("Task")
Result = TypeVar("Result")
Kept = TypeVar("Kept")

FORK = "spawn" if sys.platform == "win32" else "fork"
"""Start workers as copies of this process, where the system can do that."""
_AHEAD = 2  # tasks for each worker: one that it does and one that waits for it


class WorkerDiedError(CrnnError):
    """A worker ended before it had done its task, mostly because memory ran out."""


def in_order(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    what: str,
    method: str = FORK,
    receive: Callable[[Result], Kept] | None = None,
) -> Generator[Kept, None, None]:
    """``work(task)`` for each task, done by processes; the results in the order of the tasks.

    Tasks are taken as they are needed, so they may be endless. The processes live as
    long as the generator. What ``work`` raises is raised here when its turn comes.

    Args:
        work: is pickled to each process if ``method`` is ``spawn``, else inherited.
        tasks: are pickled, and so are the results.
        workers: processes; with 0 everything is done in this one.
        what: a worker does, for the message about one that died: ``draws lines``.
        method: of `multiprocessing` to start them.
        receive: is applied to each result in this process, in a thread beside it.

    Raises:
        WorkerDiedError: a worker was killed.
    """
    keep: Callable[[Result], Any] = receive or (lambda result: result)
    if not workers:
        yield from (keep(work(task)) for task in tasks)
        return
    crew = _Crew(work, workers, what, method)
    # A thread for each worker: it waits for the answer, so that an idle worker gets the
    # next task at once, and so that no message is too long for a pipe.
    threads = ThreadPoolExecutor(workers, "crnn-worker")
    waiting: deque[Future[Kept]] = deque()
    try:
        for task in tasks:
            waiting.append(threads.submit(lambda task: keep(crew.do(task)), task))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        crew.end()  # first: a thread may wait for an answer
        threads.shutdown(wait=True, cancel_futures=True)


_crews: "weakref.WeakSet[_Crew[Any, Any]]" = weakref.WeakSet()


@atexit.register  # after that of `multiprocessing.util`, so it comes before it
def _end_all() -> None:
    """`multiprocessing` would wait in the end for workers that are deaf to its signal."""
    for crew in list(_crews):
        crew.end()


class _Crew(Generic[Task, Result]):
    """Processes that wait for tasks."""

    def __init__(self, work: Callable[[Task], Result], count: int, what: str, method: str) -> None:
        context: Any = multiprocessing.get_context(method)
        # Of this process, which removes it in the end: workers are ended amid what they do.
        util.get_temp_dir()
        _crews.add(self)
        self._what = what
        self._members: list[tuple[Connection, BaseProcess]] = []
        self._idle: SimpleQueue[tuple[Connection, BaseProcess]] = SimpleQueue()
        is_fork = method == "fork"
        if not is_fork:
            resource_tracker.ensure_running()  # lets Ctrl-C through when it starts
        with interrupts_held():
            for _ in range(count):
                mine, its = context.Pipe()
                # What a fork inherits: the worker closes it, or it would never see us end.
                ours = [mine, *(each for each, _ in self._members)] if is_fork else []
                process = context.Process(
                    target=_serve, args=(work if is_fork else None, its, ours), daemon=True
                )
                process.start()
                its.close()
                self._members.append((mine, process))
                self._idle.put((mine, process))
        if not is_fork:
            # Not as an argument: `start` waits for ever for one that died before it read that.
            for mine, _ in self._members:
                with contextlib.suppress(OSError):  # it died, which the first task will show
                    mine.send(work)

    def do(self, task: Task) -> Result:
        """Have a task done by whoever is idle; called by as many threads as there are workers."""
        member = connection, process = self._idle.get()
        try:
            connection.send(task)
            is_done, answer = connection.recv()
        except (EOFError, OSError) as error:
            process.join(1)
            raise WorkerDiedError(
                f"a process that {self._what} was ended{_how(process.exitcode)}"
            ) from error
        finally:
            self._idle.put(member)
        if isinstance(answer, MemoryError) and not is_done:
            raise WorkerDiedError(f"a process that {self._what} has not enough memory") from answer
        if not is_done:
            raise answer
        return answer  # type: ignore[no-any-return]

    def end(self) -> None:
        """End the processes, whatever they are doing: they have nothing to tidy."""
        for _, process in self._members:
            process.kill()
        for _, process in self._members:
            process.join()


def _how(status: int | None) -> str:
    """`Process.exitcode`, in words."""
    if status is None or status >= 0:
        return f" (exit status {status})" if status else ""
    name = signal.Signals(-status).name
    return f" by {name}{', perhaps because memory ran out' if name == 'SIGKILL' else ''}"


def _serve(
    work: Callable[[Task], Result] | None, connection: Connection, inherited: Sequence[Connection]
) -> None:
    """The life of a worker, until its connection or its parent ends; None: ``work`` is sent."""
    for each in inherited:
        each.close()
    # Sent to a whole group of processes, they are the parent's to answer: it ends us.
    for each_signal in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each_signal, signal.SIG_IGN)
    while True:
        try:
            work = connection.recv() if work is None else work
            task = connection.recv()
        except (EOFError, OSError):
            os._exit(0)  # what a fork inherited is not for us to clean up
        try:
            answer: tuple[bool, Any] = True, work(task)
        except Exception as error:
            if not isinstance(error, CrnnError):
                error.add_note(f"in a worker:\n{traceback.format_exc()}")
            answer = False, error
        try:
            connection.send(answer)
        except OSError:
            os._exit(0)
        except Exception as error:  # it cannot be pickled
            connection.send((False, RuntimeError(f"{type(error).__name__}: {error}")))


@contextlib.contextmanager
def interrupts_held() -> Generator[None]:
    """Start workers inside: Ctrl-C stays the parent's to answer, once all have started.

    A terminal sends it to every process of the group, and a worker that is still importing
    would print a traceback of its own; a blocked signal is inherited, so such a worker never
    sees it. A parent that answered amid a start would leave a worker that nobody waits for.
    Windows cannot block signals: there a worker has to ignore it once it runs.
    """
    if not hasattr(signal, "pthread_sigmask") or (
        threading.current_thread() is not threading.main_thread()  # which alone answers
    ):
        yield
        return
    came = False

    def note(*_: object) -> None:
        nonlocal came
        came = True

    # The block is this thread's; a native thread may take the signal, hence the handler too.
    handler = signal.signal(signal.SIGINT, note)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
