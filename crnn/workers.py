"""How worker processes are started."""

import contextlib
import signal
import threading
from collections.abc import Generator


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
