"""The folder that Gradio puts uploads into, kept from filling up."""

import os
import threading
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def period(keep: int) -> int:
    """Seconds from one look for old files to the next, where they are kept for ``keep``."""
    return max(1, keep // 10)


def sweep(folder: Path, before: float, spared: Container[Path] = ()) -> None:
    """Delete files, and folders that are empty, that nobody has touched since.

    Args:
        folder: to look below.
        before: the time of the last change, in seconds since the epoch.
        spared: paths that stay.
    """
    for place, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = Path(place, name)
            with suppress(OSError):  # it is gone, or a folder with something in it
                if path not in spared and path.lstat().st_ctime < before:
                    (path.rmdir if path.is_dir() else path.unlink)()


@contextmanager
def swept(folder: Path, keep: int) -> Iterator[None]:
    """Sweep a folder while the page is served; what lies there now, the examples, stays.

    Gradio deletes uploads after ``keep`` seconds, but only those that arrived whole. What
    it leaves, as uploads that broke off, goes one period later.
    """
    ended = threading.Event()
    spared = frozenset(folder.rglob("*"))

    def work() -> None:
        while not ended.wait(period(keep)):
            sweep(folder, time.time() - keep - period(keep), spared)

    thread = threading.Thread(target=work, name="crnn-web-sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
