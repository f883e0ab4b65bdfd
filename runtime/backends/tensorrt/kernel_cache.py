"""The kernels that TensorRT for RTX compiles when an engine runs, kept beside the engine.

Without them every process compiles them again, for every shape. TensorRT for RTX checks
itself whether a cache is of this GPU, driver and release, and ignores it otherwise.
"""

import logging
import threading
from pathlib import Path
from typing import Any

from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically

logger = logging.getLogger(__name__)


def cache_path(engine: Path) -> Path:
    """``x.trt`` → ``x.trt.rtxcache``."""
    return engine.with_name(engine.name + ".rtxcache")


class KernelCache:
    """The runtime cache of one engine, shared by all its contexts.

    A folder that cannot be written costs time and is no error.

    Args:
        engine: path of the engine.

    Attributes:
        due: whether it is worth saving when nothing runs.
    """

    def __init__(self, engine: Path) -> None:
        self.due = False
        self._path = cache_path(engine)
        self._cache: Any = None
        self._lock = threading.Lock()
        self._shapes = 0
        self._saved = b""

    def use_in(self, config: Any) -> None:  # noqa: ANN401
        """Let contexts of a runtime configuration use the cache; CUDA must be started."""
        with self._lock:
            if self._cache is None:
                self._cache = config.create_runtime_cache()
                self._load()
        if not config.set_runtime_cache(self._cache):
            logger.info("TensorRT for RTX takes no cache of kernels: it compiles them again")

    def note_shape(self) -> None:
        """A new shape has run. The cache is due for saving after the 1st, 2nd, 4th, 8th …

        So a process that is killed loses at most half of what it has compiled.
        """
        with self._lock:
            self._shapes += 1
            self.due = self.due or self._shapes & (self._shapes - 1) == 0

    def save(self) -> None:
        """Write the cache, if there is something new; nothing of the engine may run meanwhile."""
        with self._lock:
            self.due = False
            if self._cache is None:
                return
            try:
                memory = self._cache.serialize()
                content = b"" if memory is None else bytes(memory)
                if not content or content == self._saved:
                    return
                self._saved = content
                write_atomically(self._path, lambda part: part.write_bytes(content))
            except (CrnnError, OSError, RuntimeError) as error:
                logger.info("compiled kernels are not kept: %s", error)

    def close(self) -> None:
        """Let go of the library's cache, which no context may use any more."""
        with self._lock:
            self._cache = None

    def _load(self) -> None:
        try:
            content = self._path.read_bytes()
        except OSError:
            return
        if self._cache.deserialize(content):
            self._saved = content
        else:
            logger.info("%s is of another GPU, driver or release: compiled anew", self._path)
