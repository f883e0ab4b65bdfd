"""The roofline: what a network costs on paper, and what the libraries reach here at best."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crnn_benchmarks.harness.schema import Peak

if TYPE_CHECKING:
    from torch import nn

    from crnn.model import CRNN

_FLOAT32 = 4
_SIDE = 512
_CHANNELS, _MAP = 64, 56
_SECONDS = 0.7
"""For each piece of work, which takes milliseconds: shorter than a processor's time slice, so
that on a busy machine some run undisturbed."""


def cost(model: "CRNN", batch: int, height: int, width: int) -> tuple[float, float]:
    """(operations, bytes) of a batch: a multiplication and an addition are two operations.

    Bytes are those of a float32 network whose every layer reads its input and weights
    and writes its output once: the least without fusing layers.
    """
    import torch  # noqa: PLC0415
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

    traffic = 0

    def count(layer: "nn.Module", inputs: tuple[Any, ...], output: object) -> None:
        nonlocal traffic
        values = (*inputs, *(output if isinstance(output, tuple) else (output,)))
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        tensors += layer.parameters(recurse=False)
        traffic += _FLOAT32 * sum(tensor.numel() for tensor in tensors)

    model = model.to("meta")
    leaves = [layer for layer in model.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in leaves]
    lines = torch.zeros(batch, model.backbone.in_channels, height, width, device="meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.logits(lines)
    for hook in hooks:
        hook.remove()
    return float(counter.get_total_flops()), float(traffic)


def measure_peak(library: str, threads: int) -> Peak:
    """The best of several large products and convolutions in float32.

    Args:
        library: ``torch`` or ``onnxruntime``.
        threads: CPU threads.
    """
    work = {"torch": _torch, "onnxruntime": _onnxruntime}[library](threads)
    flops = max(flop / _best(run) for flop, run in work)
    return Peak(library=library, threads=threads, flops=flops, bandwidth=_bandwidth())


def _best(run: Callable[[], object]) -> float:
    """Seconds of the fastest run: a roof is a roof, not an average."""
    run()
    best, end = math.inf, time.perf_counter() + _SECONDS
    while (start := time.perf_counter()) < end:
        run()
        best = min(best, time.perf_counter() - start)
    return best


def _bandwidth() -> float:
    """Bytes a second that a copy larger than the caches reads and writes, one thread."""
    source = np.ones(8 << 20, np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / _best(lambda: np.copyto(target, source))


def _torch(threads: int) -> list[tuple[float, Callable[[], object]]]:
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)
    square = torch.randn(_SIDE, _SIDE)
    maps = torch.randn(1, _CHANNELS, _MAP, _MAP)
    weights = torch.randn(_CHANNELS, _CHANNELS, 3, 3)

    @torch.inference_mode()
    def convolve() -> object:
        return torch.nn.functional.conv2d(maps, weights, padding=1)

    return [(_product_flop(), lambda: square @ square), (_convolution_flop(), convolve)]


def _onnxruntime(threads: int) -> list[tuple[float, Callable[[], object]]]:
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    generator = np.random.default_rng(0)
    square = generator.standard_normal((_SIDE, _SIDE), np.float32)
    kernel = generator.standard_normal((_CHANNELS, _CHANNELS, 3, 3), np.float32)
    maps = generator.standard_normal((1, _CHANNELS, _MAP, _MAP), np.float32)
    work = []
    with TemporaryDirectory() as folder:
        for flop, kind, weights, example in (
            (_product_flop(), "MatMul", square, square),
            (_convolution_flop(), "Conv", kernel, maps),
        ):
            path = _one_node(Path(folder) / f"{kind}.onnx", kind, weights, example.shape)
            session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            work.append((flop, _runner(session, example)))
    return work


def _runner(session: Any, example: object) -> Callable[[], object]:  # noqa: ANN401
    return lambda: session.run(None, {"x": example})


def _one_node(path: Path, kind: str, weights: NDArray[np.float32], shape: tuple[int, ...]) -> str:
    """An ONNX file of a single product with fixed weights."""
    import onnx  # noqa: PLC0415
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    pads: dict[str, Any] = {"pads": [1, 1, 1, 1]} if kind == "Conv" else {}
    node = helper.make_node(kind, ["x", "w"], ["y"], **pads)
    graph = helper.make_graph(
        [node], kind,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return str(path)


def _product_flop() -> float:
    return 2.0 * _SIDE**3


def _convolution_flop() -> float:
    return 2.0 * _CHANNELS * _CHANNELS * 9 * _MAP * _MAP
