"""One process or many: every function here also works without a process group."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from crnn_runtime.errors import CrnnError, MissingDependencyError

T = TypeVar("T")

_side: dist.ProcessGroup | None = None

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(gpu: int | None) -> torch.device:
    """The device of this process: its own GPU under torchrun, else the one asked for.

    Raises:
        MissingDependencyError: the GPU is not there.
    """
    if gpu is None:
        return torch.device("cpu")
    gpu = int(os.environ.get("LOCAL_RANK", gpu))
    count = torch.cuda.device_count()
    if gpu >= count:
        raise MissingDependencyError(
            f"GPU {gpu} was asked for, but PyTorch sees {count}: leave out --gpu-id to train on "
            "the CPU, or install a CUDA build of PyTorch and a driver"
        )
    torch.cuda.set_device(gpu)
    return torch.device("cuda", gpu)


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes that torchrun started, if there are any."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    global _side  # noqa: PLW0603 - as the group itself
    # What the processes agree on must not wait for what their GPUs still compute.
    if device.type == "cuda":
        _side = dist.new_group(backend="gloo")  # type: ignore[assignment]
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process writes files and logs."""
    return rank() == 0


def wait() -> None:
    """Until all processes have come here: what the first one writes is there then."""
    if dist.is_initialized():
        dist.barrier()


def wrapped(model: nn.Module) -> nn.Module:
    """The model, its gradients averaged over the processes."""
    if world_size() == 1:
        return model
    # The statistics of the norms are averaged when they are used: see `average_buffers`.
    with warnings.catch_warnings():  # of a name that older releases do not have
        warnings.filterwarnings("ignore", ".*broadcast_buffers", FutureWarning)
        return nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)


def unsynchronised(model: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Keep gradients local: the step has further batches."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return model.no_sync()
    return contextlib.nullcontext()


def mean(value: Tensor) -> Tensor:
    """A number averaged over the processes."""
    if world_size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value / world_size()


def average_buffers(model: nn.Module) -> None:
    """Give every process the mean of the norms' running statistics."""
    if world_size() > 1:
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.copy_(mean(buffer))


def gathered(items: list[T]) -> list[T]:
    """The lists of all processes, one after the other."""
    if world_size() == 1:
        return items
    parts: list[list[T] | None] = [None] * world_size()
    dist.all_gather_object(parts, items)
    return [item for part in parts if part is not None for item in part]


def demand_of_all(problem: Exception | None) -> None:
    """Raise what any process has come upon in all of them, so that none waits for another.

    Every process calls it at the same place, those without a problem with None.
    """
    if world_size() > 1:
        flag = torch.tensor([problem is not None], dtype=torch.int32)
        dist.all_reduce(flag, dist.ReduceOp.MAX, group=_side)
        if not flag.item():
            return
        problems: list[Exception | None] = [None] * world_size()
        dist.all_gather_object(problems, problem, group=_side)
        problem = next(each for each in problems if each is not None)
    if problem is not None:
        raise problem


def first_value(value: float) -> float:
    """The first process's number, for decisions that depend on its clock."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, group=_side)
    return box[0]


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Reduced precision where it is safe; nothing for ``fp32``.

    Raises:
        CrnnError: the device cannot do it.
    """
    if precision == "fp16" and device.type != "cuda":
        raise CrnnError("--precision fp16 needs a GPU: use bf16 or fp32 on the CPU")
    dtype = _AUTOCAST.get(precision, torch.bfloat16)
    return torch.autocast(device.type, dtype=dtype, enabled=precision in _AUTOCAST)


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bf16; without them PyTorch emulates it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
