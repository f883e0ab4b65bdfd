"""TensorRT and TensorRT for RTX as one library: which module it is, and what it logs.

TensorRT reports most failures as ``None`` or False and log lines, some as RuntimeError,
and the first logger that a process registers stays. So there is one logger per module,
and `collect_logs` listens to it.
"""

import importlib
import importlib.util
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

from crnn_runtime.backends.cuda_device import cuda_version_text, cuda_versions
from crnn_runtime.errors import MissingDependencyError, install_command
from crnn_runtime.model.engine_file import FLAVOUR_NAMES, Flavour

logger = logging.getLogger(__name__)

MODULES: dict[Flavour, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
EXTRAS: dict[Flavour, str] = {"tensorrt": "tensorrt", "rtx": "rtx"}
LEAST_VERSIONS: dict[Flavour, tuple[int, int]] = {"tensorrt": (10, 8), "rtx": (1, 7)}
"""The oldest releases that are used.

TensorRT 10.0 to 10.7 may compute wrongly in an engine of several profiles (its issue
4250). TensorRT for RTX hangs before 1.6 when contexts run at once with CUDA graphs (its
release notes, "Fixed issues") and keeps 57 MiB of host memory for every context and
kind of convolution before 1.7 (its issue 39).
"""

LogLine = tuple[int, str]
"""A `logging` level and the message."""

listeners: tuple[list[LogLine], ...] = ()
_changing = threading.Lock()


def is_installed(flavour: Flavour) -> bool:
    """Whether the library of a flavour can be found; it is not imported."""
    return importlib.util.find_spec(MODULES[flavour]) is not None


@cache
def load_library(flavour: Flavour) -> Any:  # noqa: ANN401
    """The module of a flavour.

    Raises:
        MissingDependencyError: it is not installed, too old, or its libraries do not load.
    """
    name, extra = MODULES[flavour], EXTRAS[flavour]
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if error.name == name:
            raise MissingDependencyError.of_extra(FLAVOUR_NAMES[flavour], extra) from None
        raise MissingDependencyError(
            f"{FLAVOUR_NAMES[flavour]} is installed but does not load ({error}): reinstall "
            f"the packages of the extra {extra}, {install_command(extra)}"
        ) from error
    least = LEAST_VERSIONS[flavour]
    if _version(module.__version__) < least:
        raise MissingDependencyError(
            f"{FLAVOUR_NAMES[flavour]} {module.__version__} has faults that later releases "
            f"do not have: {'.'.join(map(str, least))} or later is needed, "
            f"{install_command(extra)}; engines must then be built again"
        )
    return module


def create(flavour: Flavour, kind: Literal["Builder", "Runtime"]) -> Any:  # noqa: ANN401
    """A ``Builder`` or ``Runtime`` of a flavour.

    Raises:
        MissingDependencyError: the library cannot be used on this machine, because its
            driver is too old as a rule; the message is TensorRT's own.
    """
    trt = load_library(flavour)
    with collect_logs() as lines:
        try:
            return getattr(trt, kind)(shared_logger(flavour))
        except TypeError as error:  # pybind11: "factory function returned nullptr"
            driver, _ = cuda_versions()
            raise MissingDependencyError(
                f"{FLAVOUR_NAMES[flavour]} {trt.__version__} cannot be used here: "
                f"{first_error(lines)}; the NVIDIA driver serves CUDA "
                f"{cuda_version_text(driver)}: install a newer one if TensorRT needs that"
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
            if sys.is_finalizing():  # no module can be relied on any more
                return
            level = levels[severity]
            # Without the lock: the tuple is replaced, never changed.
            for lines in listeners:
                lines.append((level, message))
            # An error is raised by who asked, in one line: the log keeps the details.
            logger.log(min(level, logging.INFO), "%s: %s", MODULES[flavour], message)

    return Logger()


@contextmanager
def collect_logs() -> Iterator[list[LogLine]]:
    """The lines that TensorRT logs in the block, from whatever thread."""
    global listeners  # noqa: PLW0603 - of the process, as TensorRT's logger is
    lines: list[LogLine] = []
    with _changing:
        listeners = (*listeners, lines)
    try:
        yield lines
    finally:
        with _changing:
            listeners = tuple(other for other in listeners if other is not lines)


def first_error(lines: list[LogLine]) -> str:
    """The first error among ``lines`` in one line, for a message: the others follow from it."""
    errors = [message for level, message in lines if level >= logging.ERROR]
    return " ".join(errors[0].split()) if errors else "TensorRT gave no reason"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
