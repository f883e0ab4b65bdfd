"""Catches what libraries that decode pictures write to standard error, picture by picture."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Self


def silence_opencv() -> None:
    """Have OpenCV write nothing about a picture: it does not name it, our errors do."""
    import cv2  # noqa: PLC0415 (not for --help)

    # OpenCV 5 has it in a module, 4 does not.
    home = getattr(cv2.utils, "logging", cv2)
    home.setLogLevel(0)


class DecoderMessages:
    """Catches what libraries in C write to standard error while a command runs.

    libjpeg tells of damage there and nowhere else, without the name of the file. Standard
    error is one for the whole process, and so is this: pictures are decoded one at a
    time while it listens; files are read and pixels scaled side by side all the same.
    Python's own standard error still reaches the terminal.
    """

    def __enter__(self) -> Self:
        from crnn_runtime.picture import load  # noqa: PLC0415 (OpenCV: not for --help)

        self._alone = threading.Lock()
        self._found: dict[object, str] = {}
        self._stderr = sys.stderr
        self._terminal = os.dup(2)
        self._caught = tempfile.TemporaryFile()
        os.dup2(self._caught.fileno(), 2)
        sys.stderr = open(
            self._terminal, "w", buffering=1, encoding="utf-8", errors="surrogateescape",
            closefd=False,
        )  # fmt: skip
        self._loader = load
        load.listener = self.about
        return self

    @contextmanager
    def about(self, source: object) -> Iterator[None]:
        """While a picture is decoded: what is written belongs to it."""
        with self._alone:
            try:
                yield
            finally:
                message = self._take()
                if message and isinstance(source, str):
                    self._found[source] = message

    def of(self, path: str) -> str:
        """The first line written about a file, empty if none was; it is then forgotten."""
        return self._found.pop(path, "")

    def _take(self) -> str:
        if not os.fstat(2).st_size:
            return ""
        self._caught.seek(0)
        text = self._caught.read().decode("utf-8", "replace").strip()
        self._caught.seek(0)
        self._caught.truncate()
        return text.partition("\n")[0]

    def __exit__(self, *_: object) -> None:
        self._loader.listener = nullcontext
        os.dup2(self._terminal, 2)
        sys.stderr = self._stderr
        os.close(self._terminal)
        self._caught.close()
