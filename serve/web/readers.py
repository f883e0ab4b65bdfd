"""The readers that a page may use, opened at first use and kept while they are."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from crnn_runtime import CrnnError, ModelError, Recognizer
from crnn_runtime.readers import find_model, reader_names

_KEPT = 6  # open at once: each holds its weights


class Readers:
    """Readers by the names that a page shows.

    Args:
        given: names of shipped readers, or model files, in the order to be offered; the
            shipped ones that are not named follow.
        device: see `Recognizer`.
        threads: see `Recognizer`.

    Raises:
        CrnnError: one of ``given``, or the device, cannot be used.
    """

    def __init__(
        self, given: Sequence[str] = (), *, device: str | None = None, threads: int | None = None
    ) -> None:
        self._device = device
        self._threads = threads
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, int, int], Recognizer] = OrderedDict()
        self._paths: dict[str, Path] = {}
        for model in (*given, *(name for name in reader_names() if name not in given)):
            path = find_model(model)
            self._paths[path.stem if path.stem not in self._paths else str(path)] = path
        if not self._paths:
            raise CrnnError("no reader ships with this installation: give one with --reader")
        for name in self.names[: max(1, len(given))]:  # one at least: it may lack the device
            self.open(name)

    @property
    def names(self) -> list[str]:
        """What there is to choose from, the default first."""
        return list(self._paths)

    def open(self, name: str, own: Mapping[str, Path] | None = None) -> Recognizer:
        """The reader of a name.

        Args:
            name: one of `names` or of ``own``.
            own: a visitor's names and files, already allowed to them.

        Raises:
            ModelError: there is none of that name, or its file cannot be used.
        """
        path = (own or {}).get(name) or self._paths.get(name)
        if path is None:
            raise ModelError(f"there is no reader {name!r}: choose one of {', '.join(self.names)}")
        if path.is_file() or path in self._paths.values():
            return self.open_file(path)
        with self._lock:  # a visitor's file, whose time is over: as long as it is open
            for key in reversed(self._open):
                if key[0] == str(path):
                    self._open.move_to_end(key)
                    return self._open[key]
        raise ModelError(f"{name} is not kept any more: give the file again")

    def open_file(self, path: Path) -> Recognizer:
        """The reader in a model file.

        Raises:
            ModelError: it is not there or cannot be used.
        """
        if not path.is_file():
            return Recognizer(path)  # says what is wrong with it
        status = path.stat()
        key = (str(path), status.st_mtime_ns, status.st_size)
        with self._lock:
            if key not in self._open:
                recognizer = Recognizer(path, self._device, self._threads)
                self._open[key] = recognizer
            self._open.move_to_end(key)
            while len(self._open) > _KEPT:
                self._open.popitem(last=False)  # freed when the last line that uses it is read
            return self._open[key]
