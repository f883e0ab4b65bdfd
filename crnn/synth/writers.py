"""Writes lines: to the original's folder of images, or to LMDB.

Both are whole and countable at any moment: a chunk of lines is listed only after
all of it is stored, and a run that was stopped goes on where it stood.
"""

import errno
import json
import os
from pathlib import Path
from typing import Any, Protocol

from crnn.synth.stream import Encoded
from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.alphabet import Alphabet

INFO = "synth.json"
_MAP_SIZE = 1 << 40  # an address range, not a size on disk


class Writer(Protocol):
    """Takes chunks of lines in order."""

    def count(self) -> int:
        """Lines that are stored already, the first ones of the run."""

    def write(self, lines: list[Encoded]) -> None:
        """Store a chunk.

        Raises:
            CrnnError: it cannot be written; what was stored before is whole.
        """

    def close(self) -> None:
        """Release the files."""


def is_dev(index: int, share: float) -> bool:
    """True for the evenly spread ``share`` of lines that validate."""
    return int((index + 1) * share) > int(index * share)


def whole_prefix(train: int, dev: int, share: float) -> int:
    """The longest run of first lines of which both parts have all of theirs.

    A process that is killed between storing the two parts of a chunk leaves one ahead.
    """
    lines = train + dev
    while int(lines * share) > dev or lines - int(lines * share) > train:
        lines -= 1
    return lines


def prepare(folder: Path, info: dict[str, Any], alphabet: Alphabet) -> None:
    """Make ``folder`` ready for a run, or for going on with the same one.

    Raises:
        CrnnError: not writable, or it holds something else.
    """
    path = folder / INFO
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            before = json.loads(path.read_text("utf-8"))
            differing = sorted(key for key in info if before.get(key) != info[key])
            if differing:
                key = differing[0]
                raise CrnnError(
                    f"{folder} holds lines of another run ({key} {before.get(key)!r}, now "
                    f"{info[key]!r}): give another --out"
                )
            return
        if any(folder.iterdir()):
            raise CrnnError(f"{folder} is not empty and not of crnn-synth: give another --out")
    except OSError as error:
        raise CrnnError(f"cannot write {folder}: {error.strerror or error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CrnnError(f"{path} is damaged: delete {folder} and start over") from error
    text = alphabet.to_text().encode()
    write_atomically(folder / "alphabet.txt", lambda part: part.write_bytes(text))
    content = json.dumps(info, ensure_ascii=False, indent=1).encode()
    write_atomically(path, lambda part: part.write_bytes(content))


class FolderWriter:
    """The original's format: ``images/``, ``train.txt`` and ``dev.txt`` with integer codes.

    Args:
        folder: made by `prepare`.
        alphabet: gives the codes.
        dev_share: share of lines in ``dev.txt``.

    Raises:
        CrnnError: not writable, or not all listed lines are there.
    """

    def __init__(self, folder: Path, alphabet: Alphabet, dev_share: float) -> None:
        self._folder = folder
        self._alphabet = alphabet
        self._share = dev_share
        self._files = {}
        try:
            (folder / "images").mkdir(exist_ok=True)
            for name in ("train", "dev"):
                path = folder / f"{name}.txt"
                self._files[name] = path.open("ab", buffering=0)
            listed = {name: _count_lines(folder / f"{name}.txt") for name in self._files}
            self._done = whole_prefix(listed["train"], listed["dev"], dev_share)
            dev = int(self._done * dev_share)
            _keep_lines(folder / "dev.txt", dev)
            _keep_lines(folder / "train.txt", self._done - dev)
        except OSError as error:
            raise CrnnError(f"cannot write {folder}: {error.strerror}") from error

    def count(self) -> int:
        """Listed lines of both files, the first ones of the run."""
        return self._done

    def write(self, lines: list[Encoded]) -> None:
        """Store the images, then list them."""
        listed: dict[str, list[str]] = {"train": [], "dev": []}
        path = self._folder
        try:
            for line in lines:
                # A thousand images a folder keep any file system quick.
                name = f"{line.index // 1000:06}/{line.index:09}.jpg"
                path = self._folder / "images" / name
                if line.index % 1000 == 0 or line is lines[0]:
                    path.parent.mkdir(exist_ok=True)
                path.write_bytes(line.jpeg)
                codes = " ".join(map(str, self._alphabet.encode(line.text)))
                part = "dev" if is_dev(line.index, self._share) else "train"
                listed[part].append(f"{name} {codes}\n")
            for part, rows in listed.items():
                path = self._folder / f"{part}.txt"
                self._append(part, "".join(rows).encode())
            self._done += len(lines)
        except OSError as error:
            raise CrnnError(f"cannot write {path}: {error.strerror or error}") from error

    def _append(self, part: str, rows: bytes) -> None:
        file = self._files[part]
        end = file.seek(0, os.SEEK_END)
        # Unbuffered: a full disk shows here, as a short write or an error.
        try:
            if file.write(rows) < len(rows):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(end)
            raise

    def close(self) -> None:
        """Close the lists."""
        for file in self._files.values():
            file.close()


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)


def _keep_lines(path: Path, count: int) -> None:
    """Cut what follows the first ``count`` lines, such as part of a line."""
    with path.open("r+b") as file:
        for _ in range(count):
            file.readline()
        file.truncate(file.tell())


class LmdbWriter:
    """LMDB as text recognition uses it: ``image-%09d``, ``label-%09d`` from 1, ``num-samples``.

    Args:
        folder: gets the databases ``train`` and, with a share above 0, ``dev``.
        dev_share: share of lines in ``dev``.

    Raises:
        MissingDependencyError: the package lmdb is not installed.
        CrnnError: not writable.
    """

    def __init__(self, folder: Path, dev_share: float) -> None:
        try:
            import lmdb  # noqa: PLC0415 - of the extra "synth"
        except ImportError as error:
            raise MissingDependencyError.of_extra("lmdb", "synth") from error
        self._share = dev_share
        self._folder = folder
        self._error: type[Exception] = lmdb.Error
        names = ("train", "dev") if dev_share else ("train",)
        try:
            self._bases = {
                name: lmdb.open(str(folder / name), map_size=_MAP_SIZE) for name in names
            }
            self._done = whole_prefix(self._size("train"), self._size("dev"), dev_share)
            dev = int(self._done * dev_share)
            for name, base in self._bases.items():
                with base.begin(write=True) as transaction:
                    kept = dev if name == "dev" else self._done - dev
                    transaction.put(b"num-samples", b"%d" % kept)
        except self._error as error:
            raise CrnnError(f"cannot write {folder}: {error}") from error

    def _size(self, name: str) -> int:
        if name not in self._bases:
            return 0
        with self._bases[name].begin() as transaction:
            return int(transaction.get(b"num-samples", b"0"))

    def count(self) -> int:
        """``num-samples`` of both databases, the first lines of the run."""
        return self._done

    def write(self, lines: list[Encoded]) -> None:
        """Store a chunk in one transaction per database."""
        try:
            for name, base in self._bases.items():
                with base.begin(write=True) as transaction:
                    number = int(transaction.get(b"num-samples", b"0"))
                    for line in lines:
                        if is_dev(line.index, self._share) == (name == "dev"):
                            number += 1
                            transaction.put(b"image-%09d" % number, line.jpeg)
                            transaction.put(b"label-%09d" % number, line.text.encode())
                    transaction.put(b"num-samples", b"%d" % number)
            self._done += len(lines)
        except self._error as error:
            raise CrnnError(f"cannot write {self._folder}: {error}") from error

    def close(self) -> None:
        """Close the databases."""
        for base in self._bases.values():
            base.close()
