"""LMDB data sets in the convention of the text-recognition community.

A folder that LMDB wrote, with ``num-samples`` and, numbered from 1,
``image-%09d`` (encoded picture) and ``label-%09d`` (UTF-8 text).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn.data.sizes import whole_size
from crnn_runtime.errors import CrnnError, ImageError, MissingDependencyError


def is_database(path: Path) -> bool:
    """Whether a folder holds an LMDB database."""
    return (path / "data.mdb").is_file()


class Database:
    """Read access to one LMDB folder; pickles and forks as its path.

    Raises:
        MissingDependencyError: the package lmdb is not installed.
        CrnnError: not a database of this convention.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment: Any = None
        number = self.get("num-samples")
        if number is None or not number.isdigit():
            raise CrnnError(f"{folder}: no num-samples inside, not a data set of labelled lines")
        self.count = int(number)

    def get(self, key: str) -> bytes | None:
        """The value of ``key``, None if there is none."""
        if self._environment is None:
            self._environment = self._open()
        with self._environment.begin() as transaction:
            value: bytes | None = transaction.get(key.encode())
        return value

    def labels(self) -> Iterator[tuple[int, str, bytes]]:
        """Number, key of the picture and undecoded text of every line."""
        for number in range(1, self.count + 1):
            yield number, f"image-{number:09d}", self.get(f"label-{number:09d}") or b""

    def picture(self, key: str) -> bytes:
        """An encoded picture.

        Raises:
            ImageError: there is none.
        """
        data = self.get(key)
        if data is None:
            raise ImageError(f"no {key} in the database")
        return data

    def measure(self, keys: list[str]) -> tuple[NDArray[np.int32], dict[int, tuple[str, str]]]:
        """Returns the same as `crnn.data.sizes.measure` does for files: sizes, and (kind, detail)
        by index.
        """
        table = np.zeros((len(keys), 3), np.int32)
        failures = {}
        for index, key in enumerate(keys):
            data = self.get(key)
            if data is None:
                failures[index] = ("missing-image", f"no {key} in the database")
                continue
            try:
                height, width = whole_size(data, data, data.__bytes__)
            except ImageError as error:
                failures[index] = ("unreadable-image", f"{key}: {error}")
                continue
            table[index] = height, width, 0
        return table, failures

    def close(self) -> None:
        """Close it until the next access: an open environment must not be forked."""
        if self._environment is not None:
            self._environment.close()
            self._environment = None

    def _open(self) -> Any:  # noqa: ANN401 (the package has no types)
        try:
            import lmdb  # noqa: PLC0415 - of the extra "synth"
        except ImportError as error:
            raise MissingDependencyError.of_extra("lmdb", "synth") from error
        try:
            # No lock: the folder may be read-only, and nobody writes while we train.
            return lmdb.open(
                str(self.folder), readonly=True, lock=False, readahead=False, max_readers=1
            )
        except lmdb.Error as error:
            raise CrnnError(f"cannot read {self.folder}: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_environment": None}
