"""Answers on disk: a file that only grows, one JSON object a line."""

import fcntl
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from crnn_runtime import CrnnError

NAME = "labels.jsonl"
Kind = Literal["text", "skip", "not-text", "unreadable", "trusted"]
"""Text that a person confirmed or typed, "later", two rejections, and accepted unseen."""
_HEAD = {"crnn-label": 1}


class NotStoredError(CrnnError):
    """An answer that is not on disk, and therefore not given."""


@dataclass(frozen=True, slots=True)
class Record:
    """One answer.

    Attributes:
        path: of the picture, relative to the folder.
        version: how many answers this line has with this one.
        kind: of the answer.
        text: what is written on the line, of ``text`` and ``trusted``.
        confidence: of the reading, of ``trusted``.
    """

    path: str
    version: int
    kind: Kind
    text: str = ""
    confidence: float | None = None

    def to_json(self) -> str:
        """The object as a line of the file, without its end."""
        given: dict[str, Any] = {"path": self.path, "version": self.version, "kind": self.kind}
        if self.kind in ("text", "trusted"):
            given["text"] = self.text
        if self.confidence is not None:
            given["confidence"] = round(self.confidence, 6)
        return json.dumps(given)

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """The answer in a line of the file.

        Raises:
            ValueError: it is none.
        """
        given = json.loads(line)
        if not isinstance(given, dict):
            raise ValueError("not an object")
        try:
            record = cls(**given)
        except TypeError as error:
            raise ValueError(str(error)) from error
        fits = isinstance(record.path, str) and isinstance(record.text, str)
        if not fits or not isinstance(record.version, int) or record.kind not in get_args(Kind):
            raise ValueError("not an answer")
        return record


class Journal:
    """The answers of a folder, which one process at a time may add to.

    Args:
        folder: where the file lies or will lie.

    Attributes:
        records: what was in it.

    Raises:
        CrnnError: another process labels this folder, or the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._file = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise CrnnError(
                f"cannot write {self._path}: {error.strerror}: give a folder in which you may write"
            ) from error
        try:
            self._lock()
            self._length, self.records = self._replay()
        except BaseException:
            os.close(self._file)
            raise

    def append(self, records: Sequence[Record]) -> None:
        """Put answers on disk: all or none of them, and they stay there when this returns.

        Raises:
            NotStoredError: the disk is full or fails, or another program wrote the file.
        """
        data = "".join(record.to_json() + "\n" for record in records).encode()
        self._check_unchanged()
        self._write(data)

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CrnnError(
                f"another crnn-label has {self._path.parent} open: use its page, or end it first"
            ) from error
        except OSError as error:
            raise CrnnError(
                f"cannot lock {self._path}: {error.strerror}: copy the folder to a local disk"
            ) from error

    def _replay(self) -> tuple[int, list[Record]]:
        """The length of what is whole, and the answers in it.

        A last line without an end was never acknowledged: it is cut off.
        """
        with open(self._file, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            os.ftruncate(self._file, whole)
        self._length = whole
        if not whole:
            self._write(json.dumps(_HEAD).encode() + b"\n")
            self._sync_folder()
            return self._length, []
        head, *lines = data[:whole].splitlines()
        records = []
        try:
            number = 1
            if json.loads(head) != _HEAD:
                raise ValueError("not the first line of a journal of crnn-label")
            for number, line in enumerate(lines, start=2):  # noqa: B007 (named in the error)
                records.append(Record.from_json(line))
        except ValueError as error:
            raise CrnnError(
                f"{self._path}, line {number}: {error}: mend or delete this line, or move the "
                "file away to begin anew"
            ) from error
        return whole, records

    def _check_unchanged(self) -> None:
        here = os.fstat(self._file)
        try:
            there = self._path.stat()
        except OSError as error:
            raise NotStoredError(f"{self._path} is gone: start crnn-label again") from error
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            raise NotStoredError(f"{self._path} was replaced: start crnn-label again")
        if here.st_size != self._length:
            raise NotStoredError(
                f"{self._path} was written by another program: start crnn-label again"
            )

    def _write(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):  # if this fails, the next answer finds the file too long
                os.ftruncate(self._file, self._length)
                os.fsync(self._file)
            raise NotStoredError(
                f"cannot write {self._path}: {error.strerror}: the answer is not stored; make "
                "room and give it again"
            ) from error
        self._length += len(data)

    def _sync_folder(self) -> None:
        """Make the new file's name last, too."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # file systems that cannot do it
                os.fsync(folder)
        finally:
            os.close(folder)
