"""Tells the C library whether to keep freed memory for the next step or to give it back."""

import ctypes
import gc
import platform

# Parameters of mallopt, from glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_MMAP_MAX_DEFAULT = 65536
_LARGE = 32 << 20  # the most that glibc takes as a threshold


def keep_freed_memory() -> None:
    """Let the C library keep what a step frees for the next one.

    By default it gives large blocks back to the kernel, which must find and zero
    every page again in the next step: 10 to 25 % of a step's time. The process
    stays as large as its largest step, so what was freed before is given back first:
    call it when all is loaded. Other libraries than glibc are left as they are.
    """
    if (libc := _glibc()) is not None:
        gc.collect()
        libc.malloc_trim(0)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def give_freed_memory_back() -> None:
    """Undo `keep_freed_memory` in a worker, which inherits it and should stay small.

    The objects that it inherits are frozen: the garbage collector would write to them, and
    every page that is written to is copied.
    """
    gc.freeze()
    if (libc := _glibc()) is not None:
        libc.mallopt(_MMAP_MAX, _MMAP_MAX_DEFAULT)
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGE)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
