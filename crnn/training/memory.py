"""Memory between the steps of a run on the CPU."""

import ctypes
import platform

# Parameters of mallopt, from glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let the C library keep what a step frees for the next one.

    By default it gives large blocks back to the kernel, which must find and zero
    every page again in the next step: 10 to 25 % of a step's time. The process
    stays as large as its largest step. Other libraries than glibc are left as
    they are.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
