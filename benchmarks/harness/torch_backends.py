"""The network in PyTorch: as one types it or compiled, on the CPU or an NVIDIA GPU.

On a GPU compiled code is replayed as CUDA graphs (``mode="reduce-overhead"``), and float32
is computed as float32, as the engines and ONNX files are that it is compared with.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crnn_benchmarks.harness.models import Subject, torch_model
from crnn_runtime.backends import OUTPUT_NAMES
from crnn_runtime.errors import MissingDependencyError
from crnn_runtime.model.card import ModelCard

_MOST_SHAPES = 4096  # that one process compiles, of all its models

Device = Literal["cpu", "cuda"]
Infer = Callable[[NDArray[np.float32]], dict[str, NDArray[Any]]]


def open_torch(
    subject: Subject, precision: str, threads: int, device: Device, *, is_compiled: bool
) -> tuple[Infer, ModelCard]:
    """A function that reads a batch from host memory to host memory, and the model's card.

    Args:
        subject: the model.
        precision: ``fp32``, or what products are computed in: ``bf16``, on a GPU ``fp16``.
        threads: of the CPU.
        device: where.
        is_compiled: by ``torch.compile``, anew for each shape; one beyond the limit is an error.

    Raises:
        MissingDependencyError: PyTorch has no GPU here.
    """
    import torch  # noqa: PLC0415
    import torch._dynamo  # noqa: PLC0415

    from crnn_export.heads import add_head  # noqa: PLC0415

    if device == "cuda" and not torch.cuda.is_available():
        raise MissingDependencyError(
            f"PyTorch {torch.__version__} can use no NVIDIA GPU here: install its build for CUDA"
        )
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    model, card = torch_model(subject)
    card = card.replace(head="greedy", precision=precision)
    module: Callable[..., Any] = add_head(model, card.head, 1).to(device)
    if is_compiled:
        # Beyond its limit of shapes (8) Dynamo would go on without compiling, and not say so.
        limits = torch._dynamo.config
        limits.recompile_limit = limits.accumulated_recompile_limit = _MOST_SHAPES
        limits.fail_on_recompile_limit_hit = True
        mode = "reduce-overhead" if device == "cuda" else None
        module = torch.compile(module, dynamic=False, mode=mode)
    products = torch.float16 if precision == "fp16" else torch.bfloat16

    @torch.inference_mode()
    def infer(images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        torch.set_num_threads(threads)
        with torch.autocast(device, products, enabled=precision != "fp32"):
            outputs = module(torch.from_numpy(images).to(device))
        arrays = (output.float() if output.is_floating_point() else output for output in outputs)
        found = (array.cpu().numpy() for array in arrays)  # waits for the GPU
        return dict(zip(OUTPUT_NAMES[card.head], found, strict=True))

    return infer, card
