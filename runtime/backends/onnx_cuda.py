"""Settings and calls that ONNX Runtime needs on an NVIDIA GPU only.

Option names and values: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html;
each is a string of onnxruntime-gpu 1.31's own provider library.
"""

import io
import logging
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cache
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from crnn_runtime.backends import INPUT_NAME
from crnn_runtime.errors import CrnnError

logger = logging.getLogger(__name__)

PROVIDER = "CUDAExecutionProvider"


def cuda_options(index: int = 0, memory_limit: int | None = None) -> dict[str, str]:
    """Options of the CUDA provider for lines of many widths.

    Args:
        index: of the GPU.
        memory_limit: bytes that the arena may take; None is all there are.

    Raises:
        CrnnError: the limit is not positive.
    """
    if memory_limit is not None and memory_limit <= 0:
        raise CrnnError(f"GPU memory limit {memory_limit} is not a positive number of bytes")
    options = {
        "device_id": str(index),
        # The default, EXHAUSTIVE, times every algorithm anew for each new width.
        "cudnn_conv_algo_search": "HEURISTIC",
        # The default doubles the arena whenever it grows.
        "arena_extend_strategy": "kSameAsRequested",
        # As engines are built: TF32 would round factors to 10 bits of mantissa.
        "use_tf32": "0",
    }
    if memory_limit is not None:
        options["gpu_mem_limit"] = str(memory_limit)
    return options


@cache
def preload_cuda() -> None:
    """Load CUDA and cuDNN from the packages that the extra ``gpu`` brings.

    The dynamic loader does not find them in site-packages by itself; ONNX Runtime
    does since 1.21, when it is asked. A library that cannot be loaded is named in the
    log, and the session says that the device is missing.
    """
    preload = getattr(ort, "preload_dlls", None)
    if preload is None:
        return
    said = io.StringIO()
    with redirect_stdout(said):  # it prints, and standard output is for what was read
        preload()
    for line in said.getvalue().splitlines():
        logger.info("onnxruntime: %s", line)


def run_bound(
    session: ort.InferenceSession,
    outputs: Sequence[str],
    images: NDArray[np.float32],
    input_name: str = INPUT_NAME,
) -> list[NDArray[Any]]:
    """(N, C, H, W) → outputs in the order asked, through an I/O binding of this call's own.

    The lines are copied to the GPU once, into the session's arena, and the outputs
    back once, when all is computed.

    Raises:
        CrnnError: the device cannot compute them, for want of memory as a rule.
    """
    binding = session.io_binding()
    binding.bind_cpu_input(input_name, np.ascontiguousarray(images))
    for name in outputs:
        binding.bind_output(name)
    try:
        session.run_with_iobinding(binding)
    except Exception as error:  # the library's exceptions share no base class
        reason = str(error).strip().splitlines()[-1]
        raise CrnnError(
            f"ONNX Runtime cannot read lines of shape {images.shape}: {reason}"
        ) from error
    results: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
    return results
