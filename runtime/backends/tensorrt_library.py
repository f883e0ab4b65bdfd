"""TensorRT and TensorRT for RTX as one library: which module it is, and what it logs.

TensorRT reports failures as ``None`` and log lines, never as exceptions, and the
first logger that a process registers stays. So there is one logger per module,
and `collect_logs` listens to it.
"""

import importlib
import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from crnn_runtime.errors import MissingDependencyError, install_command
from crnn_runtime.model.engine_file import FLAVOUR_NAMES, Flavour

logger = logging.getLogger(__name__)

MODULES: dict[Flavour, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
EXTRAS: dict[Flavour, str] = {"tensorrt": "tensorrt", "rtx": "rtx"}

LogLine = tuple[int, str]
"""A `logging` level and the message."""

_listeners: list[list[LogLine]] = []


def is_installed(flavour: Flavour) -> bool:
    """Whether the library of a flavour can be found; it is not imported."""
    return importlib.util.find_spec(MODULES[flavour]) is not None


@cache
def load_library(flavour: Flavour) -> Any:  # noqa: ANN401
    """The module of a flavour.

    Raises:
        MissingDependencyError: it is not installed, or its libraries do not load.
    """
    name = MODULES[flavour]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name == name:
            raise MissingDependencyError.of_extra(FLAVOUR_NAMES[flavour], EXTRAS[flavour]) from None
        raise MissingDependencyError(
            f"{FLAVOUR_NAMES[flavour]} is installed but does not load ({error}): reinstall "
            f"what the extra {EXTRAS[flavour]} brings, {install_command(EXTRAS[flavour])}"
        ) from error


@cache
def shared_logger(flavour: Flavour) -> Any:  # noqa: ANN401
    """The logger of a flavour for this process: it forwards to `logging` and to listeners."""
    trt = load_library(flavour)
    levels = {
        trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.Severity.ERROR: logging.ERROR,
        trt.ILogger.Severity.WARNING: logging.WARNING,
        trt.ILogger.Severity.INFO: logging.INFO,
        trt.ILogger.Severity.VERBOSE: logging.DEBUG,
    }

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: object, message: str) -> None:
            level = levels[severity]
            for lines in tuple(_listeners):
                lines.append((level, message))
            # An error is raised by who asked, in one line: the log keeps the details.
            logger.log(min(level, logging.INFO), "%s: %s", MODULES[flavour], message)

    return Logger()


@contextmanager
def collect_logs() -> Iterator[list[LogLine]]:
    """The lines that TensorRT logs in the block, from whatever thread."""
    lines: list[LogLine] = []
    _listeners.append(lines)
    try:
        yield lines
    finally:
        _listeners[:] = [other for other in _listeners if other is not lines]


def last_error(lines: list[LogLine]) -> str:
    """The last error among ``lines`` in one line, for a message."""
    errors = [message for level, message in lines if level >= logging.ERROR]
    return " ".join(errors[-1].split()) if errors else "TensorRT gave no reason"
