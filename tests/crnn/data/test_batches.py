import itertools
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from refusals import refused

from crnn.data.loader import START, Batch, Position, Stream, reading_batches, training_batches
from crnn.data.plan import Mix, plan_epoch
from crnn.data.sources import Line, SyntheticLines, _middles
from crnn.model import default_card
from crnn.synth import Synthesizer
from crnn_runtime.errors import ImageError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.picture.preprocess import padded_width, valid_steps

CARD = default_card("lite", Alphabet("0123456789"))


class Fake:
    """Lines whose code tells their index; widths known before or only when drawn."""

    def __init__(self, widths: list[int], *, known: bool = True, endless: bool = False) -> None:
        self.name = "fake"
        self.all_widths = widths
        self.widths: NDArray[np.int32] | None = np.array(widths, np.int32) if known else None
        self.endless = endless
        self.bad: set[int] = set()

    def __len__(self) -> int:
        return len(self.all_widths)

    def where(self, index: int) -> str:
        return f"fake line {index}"

    def line(self, index: int, rng: np.random.Generator) -> Line:
        if index in self.bad:
            raise ImageError(f"line {index} is bad")
        width = self.all_widths[index % len(self.all_widths)]
        pixels = np.full((32, width, 1), rng.integers(256), np.uint8)
        return Line(pixels, [1 + index % 10])


def indices_of(batches: list[Batch]) -> list[int]:
    return [index for batch in batches for index in batch.indices.tolist()]


def first_steps(stream: Stream, count: int, start: Position = START) -> list[Batch]:
    steps = itertools.islice(training_batches(stream, start), count)
    return [batch for _, batches in steps for batch in batches]


@given(
    widths=st.lists(st.integers(4, 600), min_size=1, max_size=60),
    batch_size=st.integers(1, 9),
    lanes=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
def test_an_epoch_holds_every_line_in_batches_of_one_width(
    widths: list[int], batch_size: int, lanes: int, epoch: int
) -> None:
    source = Fake(widths)
    plan = plan_epoch(Mix.of(source), CARD, batch_size=batch_size, seed=1, epoch=epoch, lanes=lanes)
    assert len({len(lane) for lane in plan}) == 1
    tasks = [lane[place] for place in range(len(plan[0])) for lane in plan]
    seen: Counter[int] = Counter()
    for task in tasks:
        assert 1 <= len(task.indices) <= batch_size
        assert len({padded_width(CARD, widths[index]) for index in task.indices}) == 1
        seen.update(task.indices.tolist())
    assert set(seen) == set(range(len(widths)))
    # Only lanes that would otherwise be short see lines twice.
    assert lanes > 1 or set(seen.values()) == {1}


@given(count=st.integers(1, 200), batch_size=st.integers(1, 9), lanes=st.integers(1, 3))
def test_drawn_lines_never_come_twice(count: int, batch_size: int, lanes: int) -> None:
    source = Fake([32] * count, known=False, endless=True)
    drawn: list[int] = []
    for epoch in range(3):
        plan = plan_epoch(
            Mix.of(source), CARD, batch_size=batch_size, seed=1, epoch=epoch, lanes=lanes
        )
        tasks = [task for lane in plan for task in lane]
        assert all(len(task.indices) == task.batches * batch_size for task in tasks)
        assert len({sum(task.batches for task in lane) for lane in plan}) == 1
        drawn += [index for task in tasks for index in task.indices.tolist()]
    assert len(drawn) == len(set(drawn))


def test_a_mix_keeps_the_shares_and_uses_small_sets_evenly() -> None:
    large, small = Fake([50] * 60), Fake([40] * 7)
    mix = Mix.of(large, [(small, 0.4)])
    assert mix.counts == [60, 40]
    seen: Counter[tuple[int, int]] = Counter()
    for epoch in range(7):
        for task in plan_epoch(mix, CARD, batch_size=8, seed=3, epoch=epoch)[0]:
            seen.update(zip(task.sources.tolist(), task.indices.tolist(), strict=True))
    assert {seen[0, index] for index in range(60)} == {7}
    assert {seen[1, index] for index in range(7)} == {40}


def test_epochs_differ_and_the_seed_repeats_them() -> None:
    stream = Stream(mix=Mix.of(Fake([40] * 20)), card=CARD, batch_size=4, seed=5)
    one, again = first_steps(stream, 10), first_steps(stream, 10)
    assert indices_of(one) == indices_of(again)
    assert all(np.array_equal(a.images, b.images) for a, b in zip(one, again, strict=True)), (
        "augmentation must repeat too"
    )
    assert indices_of(one[:5]) != indices_of(one[5:])
    assert sorted(indices_of(one[:5])) == sorted(indices_of(one[5:])) == list(range(20))


@settings(deadline=None, max_examples=20)
@given(done=st.integers(0, 30), known=st.booleans(), accumulate=st.integers(1, 2))
def test_any_position_can_be_resumed(done: int, known: bool, accumulate: int) -> None:
    source = Fake([40, 90] * 30, known=known, endless=not known)
    stream = Stream(
        mix=Mix.of(source), card=CARD, batch_size=5, lanes=accumulate, mine=range(accumulate)
    )
    steps = training_batches(stream)
    start = Position()
    for _ in range(done):
        start, _ = next(steps)
    expected = list(itertools.islice(steps, 15))
    resumed = list(itertools.islice(training_batches(stream, start), 15))
    assert [position for position, _ in expected] == [position for position, _ in resumed]
    for (_, one), (_, other) in zip(expected, resumed, strict=True):
        assert indices_of(one) == indices_of(other)
        assert all(np.array_equal(a.images, b.images) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("known", [True, False])
def test_two_processes_see_what_one_that_accumulates_sees(known: bool) -> None:
    source = Fake([40, 90, 150] * 30, known=known, endless=not known)

    def stream(mine: range) -> Stream:
        return Stream(mix=Mix.of(source), card=CARD, batch_size=5, lanes=2, mine=mine)

    both = first_steps(stream(range(2)), 12)
    ranks = [first_steps(stream(range(rank, rank + 1)), 12) for rank in range(2)]
    interleaved = [batch for pair in zip(*ranks, strict=True) for batch in pair]
    assert [indices_of([batch]) for batch in both] == [indices_of([batch]) for batch in interleaved]


def test_workers_change_nothing() -> None:
    source = SyntheticLines(Synthesizer("digits", 3), CARD, 100)
    stream = Stream(mix=Mix.of(source), card=CARD, batch_size=4)

    def take(workers: int) -> Iterator[Batch]:
        for _, batches in itertools.islice(training_batches(stream, workers=workers), 20):
            yield from batches

    for one, two in zip(take(0), take(2), strict=True):
        assert np.array_equal(one.images, two.images)
        assert one.targets.tolist() == two.targets.tolist()


def test_a_batch_is_what_its_lines_say() -> None:
    source = Fake([10, 40, 33])
    (batch,) = reading_batches(source, CARD.replace(width=None), batch_size=3, shard=(1, 2))
    assert batch.images.shape == (2, 1, 32, 64)
    assert batch.indices.tolist() == [2, 1]
    assert batch.steps.tolist() == [valid_steps(CARD, 33), valid_steps(CARD, 40)]
    assert batch.targets.tolist() == [3, 2]
    assert batch.lengths.tolist() == [1, 1]
    assert (batch.images[1, :, :, 40:] == 0).all()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_reading_visits_every_line_once(known: bool, world: int) -> None:
    source = Fake([20, 70, 300] * 31, known=known)
    seen = [
        index
        for rank in range(world)
        for batch in reading_batches(source, CARD, batch_size=4, shard=(rank, world))
        for index in batch.indices.tolist()
    ]
    assert sorted(seen) == list(range(93))


def test_an_unreadable_line_is_named_and_its_batch_goes_on() -> None:
    source = Fake([40] * 8)
    source.bad = {3}
    batches = list(reading_batches(source, CARD, batch_size=4))
    assert sorted(indices_of(batches)) == [0, 1, 2, 4, 5, 6, 7]
    assert [failure for batch in batches for failure in batch.failures] == ["line 3 is bad"]


def test_a_batch_without_a_readable_line_reads_as_nothing() -> None:
    source = Fake([40])
    source.bad = {0}
    (batch,) = reading_batches(source, CARD, batch_size=4)
    assert batch.indices.tolist() == [-1]
    assert batch.lengths.tolist() == [0]
    assert batch.failures == ["line 0 is bad"]


def test_pools_with_unreadable_lines_keep_their_number_of_batches() -> None:
    source = Fake([40] * 64, known=False, endless=True)
    source.bad = set(range(60))
    stream = Stream(mix=Mix.of(source), card=CARD, batch_size=8)
    batches = first_steps(stream, 8)
    assert sum(len(batch.failures) for batch in batches) == 60
    assert sum(index >= 0 for index in indices_of(batches)) == 4


def test_an_entry_of_several_code_points_lies_in_the_middle_of_what_is_drawn() -> None:
    boxes = np.array([[0, 0, 4, 9], [4, 0, 10, 9], [12, 0, 14, 9]], np.float32)
    assert _middles(boxes, ["c", "h", "x"]).tolist() == [2, 7, 13]
    assert _middles(boxes, ["ch", "x"]).tolist() == [5, 13]
    assert _middles(boxes[:0], []).tolist() == []


def test_synthetic_lines_need_a_matching_alphabet() -> None:
    source = SyntheticLines(Synthesizer("digits", 3), CARD.replace(alphabet=Alphabet("01")), 10)
    other = next(
        index for index in range(50) if set(source.synthesizer.line(index).text) - set("01")
    )
    with refused("alphabet"):
        source.line(other, np.random.default_rng())


_AFTER_OPENCV = """
import cv2, numpy as np
cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 5)
from crnn.data.loader import Stream, training_batches
from crnn.data.plan import Mix
from crnn.data.sources import SyntheticLines
from crnn.model import default_card
from crnn.synth import Synthesizer
from crnn_runtime.model.alphabet import Alphabet
card = default_card("lite", Alphabet("0123456789"))
source = SyntheticLines(Synthesizer("digits", 3, fonts="packages"), card, 100)
stream = Stream(mix=Mix.of(source), card=card, batch_size=2)
next(training_batches(stream, workers=1))
print("loaded")
"""


def test_workers_start_after_opencv_has_used_threads() -> None:
    run = [sys.executable, "-c", _AFTER_OPENCV]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "loaded\n", done.stderr


@pytest.mark.parametrize("room", [True, False])
def test_batches_come_out_of_workers_as_they_went_in(
    monkeypatch: pytest.MonkeyPatch, *, room: bool
) -> None:
    """Through shared memory, or where there is none through a pipe."""
    source = Fake([40, 300, 90] * 20, known=False, endless=True)
    source.bad = {7}
    stream = Stream(mix=Mix.of(source), card=CARD, batch_size=4)
    if not room:
        refuse = Mock(side_effect=RuntimeError("unable to allocate shared memory"))
        monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    steps = itertools.islice(training_batches(stream, workers=2), 30)
    loaded = [batch for _, batches in steps for batch in batches]
    for batch, plain in zip(loaded, first_steps(stream, 30), strict=True):
        assert batch.failures == plain.failures
        for one, other in zip(batch[:-1], plain[:-1], strict=True):
            assert torch.equal(one, other)


def test_workers_need_few_file_handles_and_little_shared_memory() -> None:
    """64 MB of it is a container's default; here there is room for one small batch."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("only root can mount a small /dev/shm")
    limits = 'mount -t tmpfs -o size=1m tmpfs /dev/shm && ulimit -n 64 && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", limits, sys.executable, _LARGE],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"cannot mount a small /dev/shm here: {done.stderr.strip()}")
    assert done.stdout == "loaded\n", done.stderr
    assert done.stderr == ""


_LARGE = """
import numpy as np
from crnn.data.loader import Stream, training_batches
from crnn.data.plan import Mix
from crnn.data.sources import Line
from crnn.model import default_card
from crnn_runtime.model.alphabet import Alphabet
class Wide:
    name, widths, endless = "wide", None, True
    def __len__(self):
        return 1000
    def line(self, index, rng):
        return Line(np.zeros((32, 1000, 1), np.uint8), [1])
card = default_card("lite", Alphabet("0123456789"))
stream = Stream(mix=Mix.of(Wide()), card=card, batch_size=16)
batches = training_batches(stream, workers=4)
held = [next(batches) for _ in range(100)]
print("loaded")
"""
