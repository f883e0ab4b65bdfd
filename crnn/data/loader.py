"""Batches out of worker processes, from any position of any epoch."""

import dataclasses
import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import pairwise
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crnn.data.plan import Mix, Task, plan_epoch, plan_reading
from crnn.data.sources import Line, Source
from crnn.memory import give_freed_memory_back
from crnn.workers import in_order
from crnn_runtime.errors import ImageError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.picture.messages import silence_opencv
from crnn_runtime.picture.preprocess import to_input, valid_steps


class Batch(NamedTuple):
    """Lines as a network takes them.

    Attributes:
        images: (N, C, H, W) float32, normalised and padded.
        steps: (N,) int64, valid time steps of each line.
        targets: (sum of lengths,) int64, the codes of all lines one after the other.
        lengths: (N,) int64, characters of each line.
        columns: (sum of lengths,) int64, the time step on which each character is
            centred; -1 where nobody knows.
        indices: (N,) int64, index of each line in its source.
        sources: (N,) int64, number of each line's source, 0 being the main one.
        failures: messages about lines that could not be read and are not here.
    """

    images: Tensor
    steps: Tensor
    targets: Tensor
    lengths: Tensor
    columns: Tensor
    indices: Tensor
    sources: Tensor
    failures: list[str]


def on_device(batch: Batch, device: torch.device, *, channels_last: bool = False) -> Batch:
    """The batch where the model is, its images in the model's memory layout."""
    moved: dict[str, Any] = {
        name: value.to(device, non_blocking=True)
        for name, value in batch._asdict().items()
        if isinstance(value, Tensor)
    }
    if channels_last:
        moved["images"] = moved["images"].contiguous(memory_format=torch.channels_last)
    return batch._replace(**moved)


class Position(NamedTuple):
    """A point in a run: whole epochs done and steps done in the current one."""

    epoch: int = 0
    step: int = 0


START = Position()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """Everything that decides on the batches of a training run.

    Attributes:
        mix: the sources.
        card: how lines are prepared.
        batch_size: lines a batch.
        seed: of the shuffling and the augmentation.
        lanes: batches a step, over all processes; see `crnn.data.plan`.
        mine: the lanes of this process.
    """

    mix: Mix
    card: ModelCard
    batch_size: int
    seed: int = 0
    lanes: int = 1
    mine: Sequence[int] = (0,)

    def plan(self, epoch: int) -> list[list[Task]]:
        """The tasks of one epoch by lane, the same in every process."""
        return plan_epoch(
            self.mix,
            self.card,
            batch_size=self.batch_size,
            seed=self.seed,
            epoch=epoch,
            lanes=self.lanes,
        )

    def steps(self, epoch: int = 0) -> int:
        """Steps of one epoch."""
        return sum(task.batches for task in self.plan(epoch)[0])


class _Spot(NamedTuple):
    """A task on the way through the epochs, the same place in every lane."""

    epoch: int
    number: int
    batches: int
    before: int  # steps of the epoch before this task
    is_last: bool


Steps = Generator[tuple[Position, list[Batch]], None, None]
"""The type of the iterator that `training_batches` returns."""


def training_batches(
    stream: Stream, start: Position = START, *, workers: int = 0, pin: bool = False
) -> Steps:
    """Endless steps from ``start``: the position after the step, and this process's batches.

    The workers live as long as the iterator: epochs follow without a pause.

    Raises:
        CrnnError: a source cannot give lines at all, such as characters that the
            alphabet lacks.
        WorkerDiedError: a worker was killed.
    """
    results = _load(stream.mix.sources, stream.card, _keys(stream, start), workers, pin)
    for spot in _walk(stream, start):
        lanes = [next(results) for _ in stream.mine]
        for offset in range(spot.batches):
            step = spot.before + offset + 1
            if spot.epoch == start.epoch and step <= start.step:
                continue
            is_end = spot.is_last and offset == spot.batches - 1
            after = Position(spot.epoch + 1) if is_end else Position(spot.epoch, step)
            yield after, [lane[offset] for lane in lanes]


def reading_batches(
    source: Source,
    card: ModelCard,
    *,
    batch_size: int,
    shard: tuple[int, int] = (0, 1),
    workers: int = 0,
) -> Iterator[Batch]:
    """Every line of a source once; `Batch.indices` says which.

    Args:
        source: what is read.
        card: how lines are prepared.
        batch_size: lines a batch at most.
        shard: (rank, world size); the ranks' batches together are all lines.
        workers: processes; 0 loads in this one.
    """
    rank, world = shard
    tasks = plan_reading(source, card, batch_size=batch_size)[rank::world]
    keys = ((task, (0, 0)) for task in tasks)
    for batches in _load([source], card, keys, workers, pin=False):
        yield from batches


def _walk(stream: Stream, start: Position) -> Iterator[_Spot]:
    epoch = start.epoch
    while True:
        tasks = stream.plan(epoch)[0]
        before = 0
        for number, task in enumerate(tasks):
            if epoch > start.epoch or before + task.batches > start.step:
                yield _Spot(epoch, number, task.batches, before, number == len(tasks) - 1)
            before += task.batches
        epoch += 1


def _keys(stream: Stream, start: Position) -> "Iterator[_Key]":
    epoch, plan = -1, list[list[Task]]()
    for spot in _walk(stream, start):
        if spot.epoch != epoch:
            epoch, plan = spot.epoch, stream.plan(spot.epoch)
        for lane in stream.mine:
            yield plan[lane][spot.number], (stream.seed, epoch)


_Key = tuple[Task, tuple[int, int]]
"""The task to load, and the seed and epoch of the augmentation."""


def _load(
    sources: Sequence[Source], card: ModelCard, keys: Iterator[_Key], workers: int, pin: bool
) -> Iterator[list[Batch]]:
    if not workers:
        yield from map(_Tasks(sources, card), keys)
        return
    # A forked process that reconfigures OpenCV waits for threads it did not inherit.
    cv2.setNumThreads(1)
    yield from in_order(
        _Packing(_Tasks(sources, card)),
        keys,
        workers=workers,
        what="loads lines (--workers)",
        receive=lambda parcel: parcel.opened(pin=pin),
    )


class _Loaded(NamedTuple):
    """A line, and where it comes from."""

    source: int
    place: int
    line: Line


class _Tasks:
    """Loads one task at a time."""

    def __init__(self, sources: Sequence[Source], card: ModelCard) -> None:
        self.sources = sources
        self.card = card

    def __call__(self, key: _Key) -> list[Batch]:
        task, (seed, epoch) = key
        lines: list[_Loaded] = []
        failures: list[str] = []
        for number, index in zip(task.sources.tolist(), task.indices.tolist(), strict=True):
            rng = np.random.default_rng((seed, epoch, number, index))
            try:
                lines.append(_Loaded(number, index, self.sources[number].line(index, rng)))
            except ImageError as error:
                failures.append(str(error))
        lines.sort(key=lambda loaded: loaded.line.pixels.shape[1])
        # Equal parts, also when some lines failed: every lane needs as many batches.
        bounds = np.linspace(0, len(lines), task.batches + 1).round().astype(int)
        batches = [self._batch(lines[start:end]) for start, end in pairwise(bounds)]
        batches[0].failures.extend(failures)
        order = np.random.default_rng((seed, epoch, *task.indices[:1])).permutation(len(batches))
        return [batches[place] for place in order]

    def _batch(self, loaded: list[_Loaded]) -> Batch:
        if not loaded:  # every one failed: an empty picture reads as nothing
            pixels = np.zeros((self.card.height, self.card.width or 32, self.card.channels))
            loaded = [_Loaded(0, -1, Line(pixels.astype(np.uint8), []))]
        lines = [each.line for each in loaded]
        widths = [line.pixels.shape[1] for line in lines]
        return Batch(
            images=torch.from_numpy(to_input([line.pixels for line in lines], self.card)),
            steps=torch.tensor([valid_steps(self.card, width) for width in widths]),
            targets=torch.tensor([c for line in lines for c in line.codes], dtype=torch.int64),
            lengths=torch.tensor([len(line.codes) for line in lines]),
            columns=torch.from_numpy(np.concatenate([self._columns(line) for line in lines])),
            indices=torch.tensor([each.place for each in loaded]),
            sources=torch.tensor([each.source for each in loaded]),
            failures=[],
        )

    def _columns(self, line: Line) -> NDArray[np.int64]:
        if line.centers is None:
            return np.full(len(line.codes), -1, np.int64)
        steps = (line.centers - self.card.time_origin) / self.card.time_stride
        last = valid_steps(self.card, line.pixels.shape[1]) - 1
        return np.clip(steps.round(), 0, last).astype(np.int64)


class _Packing:
    """The work of a worker: it loads a task and makes it ready for its way to the parent."""

    def __init__(self, tasks: _Tasks) -> None:
        self._tasks = tasks
        self._is_new = True

    def __call__(self, key: _Key) -> "_Parcel":
        if self._is_new:
            self._is_new = False
            give_freed_memory_back()
            torch.set_num_threads(1)
            silence_opencv()
        return _Parcel.of(self._tasks(key))


@dataclasses.dataclass(frozen=True)
class _Parcel:
    """Batches between two processes: the pictures are shared memory, if there is enough.

    A container has 64 MB of it unless it is told otherwise, and what does not fit would be
    lost. Then pictures travel as all the rest does, through a pipe, which costs copies.

    Attributes:
        batches: without their images, all else as arrays: a tensor would be a file handle.
        shapes: of their images.
        images: of all batches one after the other: float32, or a pickled shared tensor.
    """

    batches: list[Batch]
    shapes: list[torch.Size]
    images: NDArray[np.float32] | bytes

    @classmethod
    def of(cls, batches: list[Batch]) -> "_Parcel":
        """Pack them."""
        parts = [batch.images.flatten() for batch in batches]
        images: NDArray[np.float32] | bytes
        try:
            count = sum(map(len, parts))
            memory = torch.UntypedStorage._new_shared(4 * count)  # type: ignore[no-untyped-call]
            shared = torch.empty(0).set_(memory, 0, (count,), (1,))
            images = bytes(ForkingPickler.dumps(torch.cat(parts, out=shared)))
        # RuntimeError is PyTorch's of a full /dev/shm, OSError of too many files or full disks.
        except (RuntimeError, OSError):
            images = torch.cat(parts).numpy()
        plain = [_mapped(batch._replace(images=_NOTHING), Tensor.numpy) for batch in batches]
        return cls(plain, [batch.images.shape for batch in batches], images)

    def opened(self, *, pin: bool) -> list[Batch]:
        """The batches as they were; ``pin`` where a GPU can fetch them."""
        if isinstance(self.images, bytes):
            flat: Tensor = pickle.loads(self.images)
        else:
            flat = torch.from_numpy(self.images)
        if pin:
            flat = flat.pin_memory()
        parts = torch.split(flat, [shape.numel() for shape in self.shapes])
        return [
            _mapped(batch, torch.from_numpy)._replace(images=part.view(shape))
            for batch, part, shape in zip(self.batches, parts, self.shapes, strict=True)
        ]


_NOTHING = torch.zeros(0)


def _mapped(batch: Batch, change: Callable[[Any], Any]) -> Batch:
    """A batch, everything changed but its failures."""
    changed: dict[str, Any] = {name: change(getattr(batch, name)) for name in Batch._fields[:-1]}
    return batch._replace(**changed)
