"""Options of the server: the number of instances, the batches, the time to wait."""

import dataclasses
import re
from pathlib import Path

from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.model_file import Kind
from crnn_runtime.turning import Turn
from crnn_serve.pages import Pages

MOST_INSTANCES = 8
"""Processes that the default makes at most on a CPU: each holds the network once."""
GPU_INSTANCES = 2
"""On a GPU: one decodes pictures while the other is in the network."""
_MOST = {"instances": 256, "threads": 1024, "max_batch": 4096, "max_queue": 1_000_000}
"""The largest numbers that make sense, all within those of the server's configuration."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Serving:
    """The options of ``crnn-export --to triton``.

    Attributes:
        name: of the model in the repository, None for the file's own.
        plain: the network alone, for Triton's own backends.
        device: ``cpu``, ``cuda`` or ``cuda:1``; None is ``cpu`` for ONNX files and
            ``cuda`` for engines.
        instances: processes that read side by side; None is one for each processor,
            `MOST_INSTANCES` at most, or `GPU_INSTANCES`.
        threads: of the CPU for each instance; None shares the processors among them.
        max_batch: images of one request, and of all that are read together, at most.
        queue_delay: milliseconds that a request may wait for others to be read with.
        max_queue: requests that may wait; more are refused.
        turn: whether what is read without confidence is read again, turned; not plain.
        buckets: widths in pixels, plain only: a model of each width, with a queue of its own.
        pages: pictures are pages, whose lines are found first; None if they are lines.
        detector: of pages: a name, an ONNX file or an engine; None is the first installed.

    Raises:
        CrnnError: a value that cannot be.
    """

    name: str | None = None
    plain: bool = False
    device: str | None = None
    instances: int | None = None
    threads: int | None = None
    max_batch: int = 64
    queue_delay: float = 0.0
    max_queue: int = 1024
    turn: Turn | None = None
    buckets: tuple[int, ...] = ()
    pages: Pages | None = None
    detector: str | None = None

    def __post_init__(self) -> None:
        for field, most in _MOST.items():
            if (value := getattr(self, field)) is not None and not 1 <= value <= most:
                option = "--" + field.replace("_", "-")
                raise CrnnError(f"{option} {value}: it must be 1 to {most}")
        if not 0 <= self.queue_delay <= 10_000:
            raise CrnnError(f"--queue-delay {self.queue_delay}: it must be 0 to 10000 milliseconds")
        if self.device is not None and not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise CrnnError(f"--device {self.device} is not one of cpu, cuda, cuda:1")
        if self.buckets and not self.plain:
            raise CrnnError("--bucket is for --plain: without it the reader pads to buckets itself")
        if self.turn and self.plain:
            raise CrnnError("--turn is not for --plain: a network alone turns no pictures")
        if self.pages and self.plain:
            raise CrnnError("--pages is not for --plain: a network alone finds no lines")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise CrnnError(
                f"--name {self.name!r}: letters, digits, '_', '-' and '.' make a model's name, "
                "the first a letter or digit"
            )

    def name_for(self, model: Path) -> str:
        """The model's name in the repository."""
        if self.name is not None:
            return self.name
        found = re.sub(r"[^A-Za-z0-9_-]", "-", model.stem).strip("-_")
        if not found:
            raise CrnnError(f"{model.name} makes no model's name: give --name")
        return found if self.pages is None else f"{found}-pages"


@dataclasses.dataclass(frozen=True)
class Placement:
    """The place that instances run at: the number of a GPU, or None for the CPU."""

    gpu: int | None
    instances: int
    threads: int

    @property
    def group(self) -> str:
        """The lines within ``instance_group [ { … } ]``."""
        kind = "KIND_CPU" if self.gpu is None else "KIND_GPU"
        gpus = "" if self.gpu is None else f"\n    gpus: [ {self.gpu} ]"
        return f"    kind: {kind}\n    count: {self.instances}{gpus}"


def place(serving: Serving, model: Path, kind: Kind) -> Placement:
    """Chooses the device, the number of instances and their threads, for a model or its detector.

    Raises:
        CrnnError: an engine on a CPU.
    """
    device = serving.device or ("cuda" if kind == "engine" else "cpu")
    if kind == "engine" and device == "cpu":
        raise CrnnError(f"--device cpu: {model.name} is an engine, which runs on a GPU only")
    gpu = None if device == "cpu" else int(device.partition(":")[2] or 0)
    cpus = available_cpus()
    # Processes of one thread share no lock and spin nowhere: see benchmarks/NOTES.md.
    most = MOST_INSTANCES if gpu is None else GPU_INSTANCES
    instances = serving.instances or max(1, min(most, cpus // (serving.threads or 1)))
    return Placement(gpu, instances, serving.threads or max(1, cpus // instances))
