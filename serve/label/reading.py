"""The reader at work behind the page."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from crnn_runtime import Recognizer
from crnn_serve.label.labels import Labels
from crnn_serve.label.readings import Readings

_LOG = logging.getLogger(__name__)


@contextmanager
def reading(recognizer: Recognizer, labels: Labels, kept: Readings | None = None) -> Iterator[None]:
    """Read the open lines of a folder in a thread of its own, which ends with the context.

    Args:
        recognizer: reads them.
        labels: takes the readings.
        kept: what was read before, and takes what is read now.
    """
    stop = threading.Event()
    thread = threading.Thread(target=_read, args=(recognizer, labels, kept, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _read(
    recognizer: Recognizer, labels: Labels, kept: Readings | None, stop: threading.Event
) -> None:
    entries = []
    for entry in labels.unread():
        if kept is not None and (line := kept.get(entry.path)) is not None:
            labels.read(entry, line)
        else:
            entries.append(entry)
    paths = [labels.path_of(entry.key) for entry in entries]
    try:
        with closing(recognizer.stream(paths, errors="return")) as lines:
            for entry, line in zip(entries, lines, strict=True):
                if stop.is_set():
                    return
                labels.read(entry, line)
                if kept is not None:
                    kept.add(entry.path, line)
    except Exception as error:
        _LOG.exception("the reader failed")
        labels.finish_reading(f"the reader failed: {error}")
    else:
        labels.finish_reading()
