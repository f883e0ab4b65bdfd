"""What the libraries that decode pictures write to standard error."""

import os
import sys
import tempfile
from typing import Self


class DecoderMessages:
    """Catches what libraries in C write to standard error while a command runs.

    libjpeg tells of damage there and nowhere else, without the name of the file.
    Python's own standard error still reaches the terminal.
    """

    def __enter__(self) -> Self:
        self._stderr = sys.stderr
        self._terminal = os.dup(2)
        self._caught = tempfile.TemporaryFile()
        os.dup2(self._caught.fileno(), 2)
        sys.stderr = open(
            self._terminal, "w", buffering=1, encoding="utf-8", errors="surrogateescape",
            closefd=False,
        )  # fmt: skip
        return self

    def take(self) -> str:
        """The first line written since the last call, empty if there was none."""
        if not os.fstat(2).st_size:
            return ""
        self._caught.seek(0)
        text = self._caught.read().decode("utf-8", "replace").strip()
        self._caught.seek(0)
        self._caught.truncate()
        return text.partition("\n")[0]

    def __exit__(self, *_: object) -> None:
        os.dup2(self._terminal, 2)
        sys.stderr = self._stderr
        os.close(self._terminal)
        self._caught.close()
