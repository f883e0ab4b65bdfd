"""TensorRT and TensorRT for RTX on an NVIDIA GPU, without torch."""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import INPUT_NAME, OUTPUT_NAMES, Backend
from crnn_runtime.backends.cuda_device import capability, require_device
from crnn_runtime.backends.tensorrt_lane import Lane, LoadedEngine
from crnn_runtime.backends.tensorrt_library import (
    collect_logs,
    last_error,
    load_library,
    shared_logger,
)
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.engine_file import Profile, check_runs_here, read_engine

MAX_LANES = 2
"""Calls that run at once: one computes while the other's lines are copied."""


class EngineShapeError(CrnnError):
    """A batch of lines that no profile of the engine serves."""


class TensorRTBackend(Backend):
    """An engine that `crnn-export --to trt` wrote, with its sidecar.

    `infer` may be called from several threads at once: each call borrows one of
    `MAX_LANES` execution contexts, because a context itself is not thread-safe.

    Batches and widths beyond the engine's profiles: a batch too large is split,
    one too small is filled up with empty lines, lines too narrow are padded, and
    lines too wide are refused (`EngineShapeError`). An engine is never rebuilt.

    Args:
        path: of the engine; the sidecar lies beside it.
        device: ``cuda`` or ``cuda:1``.
        threads: ignored, the GPU does the work.

    Raises:
        ModelError: engine or sidecar is missing, damaged or foreign, of another release
            or for another GPU.
        MissingDependencyError: there is no such GPU, or no TensorRT of the engine's
            flavour.
    """

    def __init__(self, path: Path, *, device: str = "cuda", threads: int | None = None) -> None:
        del threads
        self.card, self.record = read_engine(path)
        self._path = path
        self._device = device
        self._outputs = OUTPUT_NAMES[self.card.head]
        self._pool: _Pool | None = self._load()

    def _load(self) -> "_Pool":
        """The engine on the GPU."""
        # First of all: without a GPU TensorRT's Runtime may end the process.
        index = require_device(self._device)
        trt = load_library(self.record.flavour)
        check_runs_here(self._path, self.record, str(trt.__version__), capability(index))
        with collect_logs() as lines:
            runtime = trt.Runtime(shared_logger(self.record.flavour))
            engine = runtime.deserialize_cuda_engine(self._path.read_bytes())
        if engine is None:
            raise ModelError(f"{self._path}: TensorRT cannot load it: {last_error(lines)}")
        self._check_tensors(engine)
        loaded = LoadedEngine(trt, engine, index, own_graphs=self.record.flavour != "rtx")
        return _Pool(loaded, self._outputs)

    def close(self) -> None:
        """Release the GPU's memory, when the calls that run have returned."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def infer(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """(N, C, H, W) → outputs by name, batch first.

        Raises:
            EngineShapeError: wider than every profile, or not the engine's channels
                and height.
            CrnnError: CUDA or TensorRT fails.
        """
        pool = self._pool
        if pool is None:
            raise ModelError(f"{self._path}: the engine is closed, open it again")
        expected = (self.card.channels, self.card.height)
        if images.ndim != 4 or images.shape[1:3] != expected or len(images) == 0:
            raise EngineShapeError(
                f"{self._path}: lines of shape {images.shape}, expected (N, {expected[0]}, "
                f"{expected[1]}, W)"
            )
        index = choose_profile(self.record.profiles, len(images), images.shape[3])
        profile = self.record.profiles[index]
        parts = []
        for part in split_batch(images, profile):
            with pool.lane() as lane:
                outputs = lane.run(index, fit(part, profile))
            parts.append({name: values[: len(part)] for name, values in outputs.items()})
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def _check_tensors(self, engine: Any) -> None:  # noqa: ANN401
        names = {engine.get_tensor_name(index) for index in range(engine.num_io_tensors)}
        if not names >= {INPUT_NAME, *self._outputs}:
            raise ModelError(
                f"{self._path}: tensors {', '.join(sorted(names))} are not those of a line reader "
                f"with a {self.card.head} head ({INPUT_NAME}, {', '.join(self._outputs)})"
            )


def choose_profile(profiles: Sequence[Profile], lines: int, width: int) -> int:
    """Index of the profile that serves a batch best.

    Of the profiles that are wide enough, the one that needs the fewest calls; of
    those the one that computes the fewest pixels, filling up included; of those the
    one that is tuned for the shape nearest to this one.

    Raises:
        EngineShapeError: the lines are wider than every profile.
    """
    fitting = [index for index, profile in enumerate(profiles) if width <= profile.width.max]
    if not fitting:
        widest = max(profile.width.max for profile in profiles)
        raise EngineShapeError(
            f"lines are {width} pixels wide, the engine reads up to {widest} "
            f"({'; '.join(map(str, profiles))}): cut them, or build with a wider --profile"
        )

    def cost(index: int) -> tuple[int, int, float]:
        profile = profiles[index]
        calls = math.ceil(lines / profile.batch.max)
        batch = max(math.ceil(lines / calls), profile.batch.min)
        pixels = max(width, profile.width.min)
        distance = abs(math.log(batch / profile.batch.opt))
        distance += abs(math.log(pixels / profile.width.opt))
        return calls, batch * pixels, distance

    return min(fitting, key=cost)


def split_batch(images: NDArray[np.float32], profile: Profile) -> Iterator[NDArray[np.float32]]:
    """A batch in as few parts as the profile allows, of nearly equal size."""
    yield from np.array_split(images, math.ceil(len(images) / profile.batch.max))


def fit(images: NDArray[np.float32], profile: Profile) -> NDArray[np.float32]:
    """Fill up to the profile's least batch and width with 0, which is what padding is."""
    lines = max(0, profile.batch.min - len(images))
    pixels = max(0, profile.width.min - images.shape[3])
    if lines == pixels == 0:
        return images
    return np.pad(images, ((0, lines), (0, 0), (0, 0), (0, pixels)))


class _Pool:
    """Lanes that are made when needed, lent one call at a time."""

    def __init__(self, loaded: LoadedEngine, outputs: tuple[str, ...]) -> None:
        self._loaded = loaded
        self._outputs = outputs
        self._idle: list[Lane] = []
        self._made = 0
        self._closed = False
        self._changed = threading.Condition()

    @contextmanager
    def lane(self) -> Iterator[Lane]:
        """Borrow a lane; waits for one when all are busy."""
        lane = self._borrow()
        try:
            yield lane
        except BaseException:
            self._retire(lane)  # a failed call may have left it in any state
            raise
        with self._changed:
            self._idle.append(lane)
            self._changed.notify()

    def close(self) -> None:
        """Release all lanes; waits for those that are lent."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: len(self._idle) == self._made)
            for lane in self._idle:
                lane.close()
            self._idle.clear()
            self._made = 0
            self._changed.notify_all()

    def _borrow(self) -> Lane:
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or bool(self._idle) or self._made < MAX_LANES
            )
            if self._closed:
                raise ModelError("the engine was released while lines were waiting for it")
            if self._idle:
                return self._idle.pop()
            lane = Lane(self._loaded, self._outputs)  # made under the lock: TensorRT wants it
            self._made += 1
            return lane

    def _retire(self, lane: Lane) -> None:
        with self._changed:
            self._made -= 1
            self._changed.notify_all()
        with suppress(CrnnError):  # the first error is the one to report
            lane.close()
