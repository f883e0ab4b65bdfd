"""Keeps a reader's readings of pictures, so that a server that is started again need not wait."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from crnn_runtime import Char, Line

_LOG = logging.getLogger(__name__)


class Readings:
    """A file in the folder that only grows, one JSON object a line; losing it costs time alone.

    A picture that was changed since, and another reader, are not known here. If the file
    cannot be written, readings are not kept and the log says so.

    Args:
        folder: of the pictures.
        reader: files that decide what is read: the model, and a card that it needs.

    Raises:
        OSError: one of the reader's files cannot be read.
    """

    def __init__(self, folder: Path, *reader: Path) -> None:
        key = hashlib.sha256()
        for file in reader:
            key.update(hashlib.sha256(file.read_bytes()).digest())
        self._folder = folder
        self._file = folder / f".readings-{key.hexdigest()[:16]}.jsonl"
        self._known: dict[str, tuple[str, Line]] = {}
        self._is_whole = True  # the last line has an end
        self._load()

    def get(self, path: str) -> Line | None:
        """The reading of a picture, None if there is none of what it is now.

        Args:
            path: relative to the folder.
        """
        stamp, line = self._known.get(path, ("", None))
        return line if line is not None and stamp == self._stamp(path) else None

    def add(self, path: str, line: Line) -> None:
        """Keep a reading; one that failed is tried again the next time."""
        if line.error is not None:
            return
        chars = [[each.char, round(each.confidence, 5), each.x0, each.x1] for each in line.chars]
        row = [path, self._stamp(path), line.text, line.confidence, chars]
        text = json.dumps(row, ensure_ascii=False) + "\n"
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(text if self._is_whole else f"\n{text}")
            self._is_whole = True
        except (OSError, UnicodeEncodeError) as error:
            _LOG.warning("readings are not kept: %s", error)

    def _load(self) -> None:
        try:
            data = self._file.read_bytes()
        except OSError:  # there is none yet, or it cannot be read
            return
        self._is_whole = not data or data.endswith(b"\n")
        for row in data.splitlines():
            try:
                path, stamp, text, confidence, chars = json.loads(row)
                self._known[path] = stamp, _line(text, confidence, chars)
            except (ValueError, TypeError):  # a server that was killed left half of it
                continue

    def _stamp(self, path: str) -> str:
        """Returns a stamp that changes when the picture does."""
        try:
            found = (self._folder / path).stat()
        except OSError:  # reading it says why
            return "gone"
        return f"{found.st_size} {found.st_mtime_ns}"


def _line(text: Any, confidence: Any, chars: Any) -> Line:  # noqa: ANN401 (JSON)
    if not isinstance(text, str):
        raise TypeError("no text")
    found = tuple(Char(str(char), float(p), float(x0), float(x1)) for char, p, x0, x1 in chars)
    return Line(text, float(confidence), "", found)
