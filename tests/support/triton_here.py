"""Whether a Triton Inference Server can be had, asked once in a process."""

import functools

from crnn_runtime.errors import CrnnError
from crnn_serve.triton.local_server import install


@functools.cache
def why_no_triton() -> str:
    """Why there is none, empty if there is; the first call may install it into the cache."""
    try:
        install()
    except CrnnError as error:
        return str(error)
    return ""
