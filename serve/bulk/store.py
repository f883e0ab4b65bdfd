"""Files at any address that fsspec knows: the inputs, and the folder that is written."""

import os
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.files import write_atomically

_PUT_WHOLE = frozenset(("abfs", "abfss", "az", "gcs", "gs", "s3", "s3a"))
"""Protocols of object stores, where an object is there when all of it is."""


def open_address(address: str) -> tuple[Any, str]:
    """A path or URL → fsspec's file system and the path in it; local ones are absolute.

    Raises:
        CrnnError: no such protocol, or it cannot be used.
        MissingDependencyError: the protocol's own package is not installed.
    """
    from fsspec.core import url_to_fs  # noqa: PLC0415 (the extra, and slow to import)

    protocol = address.partition("://")[0]
    try:
        if "://" not in address:
            return url_to_fs(f"file://{os.path.abspath(address)}")  # type: ignore[no-any-return]  # noqa: PTH100 (keeps links)
        return url_to_fs(address)  # type: ignore[no-any-return]
    except ImportError as error:
        raise MissingDependencyError(
            f"{address}: {protocol}:// needs a package of its own: {one_line(error)}"
        ) from error
    except Exception as error:  # what they raise for bad credentials shares no base
        raise CrnnError(f"cannot use {address}: {one_line(error)}") from error


def is_local(files: Any) -> bool:  # noqa: ANN401 (fsspec has no types)
    """Whether a file system is this machine's own."""
    return "file" in _protocols(files)


class Store:
    """A folder that parts of an output are written to, from many machines at once.

    Args:
        address: a folder or an fsspec URL; made when first written to.

    Raises:
        CrnnError: see `open_address`.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.files, root = open_address(address)
        self._root = root.rstrip("/") or "/"

    def path(self, name: str) -> str:
        """Returns the path of one of the folder's files within its file system."""
        return f"{self._root}/{name}"

    def names(self) -> set[str]:
        """The files of the folder; none if there is no folder.

        Raises:
            CrnnError: it cannot be listed, or is a file.
        """
        try:
            self.files.invalidate_cache()  # others write here
            if not self.files.exists(self._root):
                return set()
            if not self.files.isdir(self._root):
                raise CrnnError(f"{self.address} is a file: give a folder to write to")
            found = self.files.ls(self._root, detail=False)
        except CrnnError:
            raise
        except Exception as error:  # fsspec's file systems share no base class of errors
            raise CrnnError(f"cannot list {self.address}: {one_line(error)}") from error
        return {path.rstrip("/").rpartition("/")[2] for path in found}

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        self.files.invalidate_cache()
        return bool(self.files.exists(self.path(name)))

    def open(self, name: str) -> Any:  # noqa: ANN401
        """A file, to read bytes from.

        Raises:
            FileNotFoundError: there is none.
        """
        return self.files.open(self.path(name), "rb")

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Let ``write`` fill a local file, which then appears under its name at once.

        Raises:
            CrnnError: the folder cannot be written, or is full.
        """
        if is_local(self.files):
            folder = Path(self._root)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CrnnError(f"cannot make the folder {folder}: {error.strerror}") from error
            write_atomically(folder / name, write)
            return
        with tempfile.TemporaryDirectory(prefix="crnn-bulk-") as folder_here:
            here = Path(folder_here) / "part"
            write(here)
            try:
                self._upload(here, name)
            except Exception as error:  # as above
                raise CrnnError(f"cannot write {self.address}/{name}: {one_line(error)}") from error

    def _upload(self, here: Path, name: str) -> None:
        self.files.makedirs(self._root, exist_ok=True)
        if _protocols(self.files) & _PUT_WHOLE:
            self.files.put_file(str(here), self.path(name))
            return
        part = self.path(f".{name}.{uuid.uuid4().hex[:8]}.part")
        try:
            self.files.put_file(str(here), part)
            self.files.mv(part, self.path(name))
        finally:
            if self.files.exists(part):
                self.files.rm_file(part)

    def sweep(self) -> None:
        """Remove what workers that were killed had begun to write."""
        for name in self.names():
            if name.startswith(".") and name.endswith(".part"):
                self.files.rm_file(self.path(name))


def _protocols(files: Any) -> set[str]:  # noqa: ANN401
    return {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)


def one_line(error: Exception) -> str:
    """Returns the reason of an error in one line."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(reason).split())
