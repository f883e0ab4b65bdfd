"""The reader at work behind the page."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from crnn_runtime import Recognizer
from crnn_serve.label.labels import Labels

_LOG = logging.getLogger(__name__)


@contextmanager
def reading(recognizer: Recognizer, labels: Labels) -> Iterator[None]:
    """Read the open lines of a folder in a thread of its own, which ends with the context."""
    stop = threading.Event()
    thread = threading.Thread(target=_read, args=(recognizer, labels, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _read(recognizer: Recognizer, labels: Labels, stop: threading.Event) -> None:
    entries = labels.unread()
    paths = [labels.path_of(entry.key) for entry in entries]
    try:
        with closing(recognizer.stream(paths, errors="return")) as lines:
            for entry, line in zip(entries, lines, strict=True):
                if stop.is_set():
                    return
                labels.read(entry, line)
    except Exception as error:
        _LOG.exception("the reader failed")
        labels.finish_reading(f"the reader failed: {error}")
    else:
        labels.finish_reading()
