"""The readers that a page may use, opened at first use, lent to requests, closed when unused."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crnn_runtime import CrnnError, ModelError, Recognizer
from crnn_runtime.backends import BACKENDS
from crnn_runtime.model.model_file import find_kind
from crnn_runtime.readers import is_reader_name, reader_names
from crnn_runtime.turning import Turn

_KEPT = 6  # open at once: each holds its weights

_Key = tuple[str, int, int]


@dataclass
class _Open:
    """An open reader, how many requests use it, and whether it is to be closed after them."""

    recognizer: Recognizer
    users: int = 0
    is_evicted: bool = False


class Readers:
    """Readers by the names that a page shows.

    Args:
        given: names of shipped readers, or model files, in the order to be offered; the
            shipped ones that are not named follow.
        device: see `Recognizer`.
        threads: see `Recognizer`.
        turn: see `Recognizer`.

    Raises:
        CrnnError: one of ``given``, or the device, cannot be used.
    """

    def __init__(
        self,
        given: Sequence[str] = (),
        *,
        device: str | None = None,
        threads: int | None = None,
        turn: Turn | None = None,
    ) -> None:
        self._device = device
        self._threads = threads
        self._turn = turn
        self._lock = threading.Lock()
        self._open: OrderedDict[_Key, _Open] = OrderedDict()
        self._paths: dict[str, Path] = {}
        for model in (*given, *(name for name in reader_names() if name not in given)):
            path = find_kind(model, *BACKENDS)[0]
            short = str(model) if is_reader_name(model) else path.stem
            self._paths[short if short not in self._paths else str(path)] = path
        if not self._paths:
            raise CrnnError("no reader ships with this installation: give one with --reader")
        for name in self.names[: max(1, len(given))]:  # one at least: it may lack the device
            with self.lend(name):
                pass

    @property
    def names(self) -> list[str]:
        """The names of the readers to choose from, the default first."""
        return list(self._paths)

    @contextmanager
    def lend(self, name: str, own: Mapping[str, Path] | None = None) -> Iterator[Recognizer]:
        """The reader of a name, which stays open for as long as it is used here.

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
            with self.lend_file(path) as recognizer:
                yield recognizer
            return
        with self._lock:  # a visitor's file, whose time is over: as long as it is open
            key = next((key for key in reversed(self._open) if key[0] == str(path)), None)
            entry = self._take(key) if key is not None else None
        if entry is None:
            raise ModelError(f"{name} is not kept any more: give the file again")
        with self._returned(entry):
            yield entry.recognizer

    @contextmanager
    def lend_file(self, path: Path) -> Iterator[Recognizer]:
        """The reader in a model file, see `lend`.

        Raises:
            ModelError: it is not there or cannot be used.
        """
        if not path.is_file():
            Recognizer(path)  # says what is wrong with it
        status = path.stat()
        key = (str(path), status.st_mtime_ns, status.st_size)
        with self._lock:
            if key not in self._open:
                recognizer = Recognizer(path, self._device, self._threads, turn=self._turn)
                self._open[key] = _Open(recognizer)
            entry = self._take(key)
            while len(self._open) > _KEPT:
                self._evict()
        with self._returned(entry):
            yield entry.recognizer

    def close(self) -> None:
        """Close all readers, those in use when they are given back."""
        with self._lock:
            while self._open:
                self._evict()

    def _take(self, key: _Key) -> _Open:
        self._open.move_to_end(key)
        self._open[key].users += 1
        return self._open[key]

    @contextmanager
    def _returned(self, entry: _Open) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                entry.users -= 1
                self._close_if_unused(entry)

    def _evict(self) -> None:
        """Let go of the reader that was used least recently."""
        _, entry = self._open.popitem(last=False)
        entry.is_evicted = True
        self._close_if_unused(entry)

    @staticmethod
    def _close_if_unused(entry: _Open) -> None:
        if entry.is_evicted and not entry.users:
            entry.recognizer.close()
