"""Recognizer.stream: lazy, in order, the same as read, and gone when it ends."""

import dataclasses
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count, islice, repeat
from pathlib import Path

import cv2
import numpy as np
import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from crnn_runtime import ImageError, ModelError, Recognizer, stream
from crnn_runtime.backends import open_backend
from crnn_runtime.decode.decoding import Decoding, open_decoder
from crnn_runtime.pipeline import AUTO_COLUMNS, AUTO_LINES, Pipeline
from crnn_runtime.stream import PAUSE, LineStream

# Of 0 to 40 characters: one to several pieces at the widest of 160 pixels.
TEXTS = st.lists(st.text("0123456789", max_size=40), max_size=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = barcode_card(head="greedy", max_width=160)
    return write_barcode_reader(tmp_path_factory.mktemp("model") / "reader.onnx", card)


@pytest.fixture(scope="module")
def recognizers(model: Path) -> dict[int | str, Recognizer]:
    return {size: Recognizer(model, threads=1, batch_size=size) for size in (1, 3, "auto")}


@pytest.fixture
def recognizer(recognizers: dict[int | str, Recognizer]) -> Iterator[Recognizer]:
    yield recognizers[3]
    assert stages_running() == [], "a stream left threads behind"


def stages_running() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("crnn-")]


def run_apart(code: str, model: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with the model's path as its argument."""
    command = [sys.executable, "-c", code, model]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def pipeline_of(model: Path, batch: int) -> Pipeline:
    backend = open_backend(model, threads=1)
    decoder = open_decoder(Decoding(), backend.card)
    return Pipeline(backend=backend, decoder=decoder, errors="raise", batch_size=batch)


class Counted:
    """Hands out images and counts them."""

    def __init__(self, images: Iterable[object]) -> None:
        self.images = images
        self.taken = 0

    def __iter__(self) -> Iterator[object]:
        for image in self.images:
            self.taken += 1
            yield image


@settings(max_examples=60, deadline=None)
@given(
    texts=TEXTS,
    broken=st.sets(st.integers(0, 19), max_size=4),
    size=st.sampled_from([1, 3, "auto"]),
    look_ahead=st.integers(1, 25),
)
def test_a_stream_is_what_one_by_one_is(
    recognizers: dict[int | str, Recognizer],
    texts: list[str],
    broken: set[int],
    size: int | str,
    look_ahead: int,
) -> None:
    images: list[object] = [draw_barcode(text) for text in texts]
    for number in broken & set(range(len(images))):
        images[number] = b"not a picture"
    alone = [recognizers[1].read([image], errors="return")[0] for image in images]
    streamed = recognizers[size].stream(iter(images), errors="return", look_ahead=look_ahead)
    assert list(streamed) == alone
    assert recognizers[size].read(images, errors="return") == alone
    assert stages_running() == []


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_with_any_number_of_workers(model: Path, workers: int) -> None:
    texts = [str(number) * (number % 7) for number in range(50)]
    images = [draw_barcode(text) for text in texts]
    lines = LineStream(images, pipeline_of(model, 3), workers=workers, look_ahead=16).lines()
    assert [line.text for line in lines] == texts


def test_no_more_is_taken_than_the_look_ahead(recognizer: Recognizer) -> None:
    images = Counted(map(draw_barcode, map(str, count())))
    with closing(recognizer.stream(images, look_ahead=10)) as lines:
        assert images.taken == 0
        for number, line in enumerate(islice(lines, 200)):
            assert line.text == str(number)
            assert number + 1 <= images.taken <= number + 11


def test_images_that_wait_are_bounded_in_bytes_too(model: Path) -> None:
    images = Counted(map(draw_barcode, repeat("1", 40)))
    most = 2 * draw_barcode("1").nbytes
    lines = LineStream(images, pipeline_of(model, 9), workers=0, max_bytes=most).lines()
    for number, line in enumerate(lines):
        assert line.text == "1"
        assert images.taken <= number + 1 + 3
    assert images.taken == 40


def test_the_line_that_has_waited_longest_is_read_first(model: Path) -> None:
    order = []
    pipeline = pipeline_of(model, 9)  # no bucket fills up
    backend = pipeline.backend

    class Recorded:
        card = backend.card

        def infer(self, images: np.ndarray) -> dict[str, np.ndarray]:
            order.append(images.shape[3])
            return backend.infer(images)

    pipeline = dataclasses.replace(pipeline, backend=Recorded())
    images = map(draw_barcode, ("12345", "123456789", "1", "12345"))
    lines = list(LineStream(images, pipeline, workers=0).lines())
    assert [line.text for line in lines] == ["12345", "123456789", "1", "12345"]
    assert order == [96, 160, 32]


def test_a_slow_iterable_is_asked_when_its_lines_are_handed_out(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SLOW", -1.0)
    monkeypatch.setattr(stream, "PATIENCE", 60.0)
    images = Counted(map(draw_barcode, "0123456789"))
    for number, line in enumerate(recognizer.stream(images)):
        assert line.text == str(number)
        assert images.taken == number + 1


def test_what_comes_before_a_pause_is_handed_out_in_it(recognizer: Recognizer) -> None:
    images = Counted([draw_barcode("1"), draw_barcode("2"), PAUSE, PAUSE, draw_barcode("3"), PAUSE])
    taken = [images.taken for line in recognizer.stream(images) if line.text in "123"]
    assert taken == [3, 3, 6]


def test_an_iterable_that_fails_does_so_after_its_lines(recognizer: Recognizer) -> None:
    def images() -> Iterator[object]:
        yield from map(draw_barcode, "12345")
        raise LookupError("the camera is gone")

    lines = recognizer.stream(images())
    assert [next(lines).text for _ in range(5)] == [*"12345"]
    with pytest.raises(LookupError):
        next(lines)
    with pytest.raises(LookupError):
        recognizer.read(images())


def test_a_bad_image_is_raised_when_its_turn_comes(recognizer: Recognizer) -> None:
    lines = recognizer.stream([draw_barcode("1"), draw_barcode("2"), b"", draw_barcode("3")])
    assert [next(lines).text, next(lines).text] == ["1", "2"]
    with refused(kind=ImageError):
        next(lines)
    with pytest.raises(StopIteration):
        next(lines)


def test_ctrl_c_ends_it_at_once(recognizer: Recognizer) -> None:
    def images() -> Iterator[object]:
        yield from map(draw_barcode, "12345")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(recognizer.stream(images()))


def test_a_consumer_may_stop_early(recognizer: Recognizer) -> None:
    lines = recognizer.stream(map(draw_barcode, repeat("7")))
    assert next(lines).text == "7"
    lines.close()
    assert stages_running() == []
    for line in recognizer.stream(map(draw_barcode, repeat("8"))):
        assert line.text == "8"
        break  # the generator is collected


def test_a_stream_that_is_never_finished_does_not_hold_up_the_exit(model: Path) -> None:
    code = (
        "import sys, itertools, cv2, numpy as np; from crnn_runtime import Recognizer\n"
        "image = np.full((32, 80), 255, np.uint8)\n"
        "lines = Recognizer(sys.argv[1]).stream(itertools.repeat(image))\n"
        "print(len(next(lines).raw))\n"
        "keep = [lines]; keep.append(keep)\n"
        "raise SystemExit(3)"
    )
    done = run_apart(code, model)
    assert (done.returncode, done.stdout, done.stderr) == (3, "10\n", "")


def test_one_image_is_read_without_threads(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert [line.text for line in recognizer.read([draw_barcode("1" * 40)])] == ["1" * 40]
    assert recognizer.read([]) == []
    with pytest.raises(AssertionError):
        recognizer.read([draw_barcode("1")] * 2)


def test_several_streams_of_one_recognizer_at_once(recognizer: Recognizer) -> None:
    texts = [str(number) * (number % 5) for number in range(60)]

    def read(shift: int) -> bool:
        own = texts[shift:] + texts[:shift]
        return [line.text for line in recognizer.stream(map(draw_barcode, own))] == own

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(8)))


def test_a_model_that_fails_is_an_error_where_its_line_is_due(model: Path) -> None:
    recognizer = Recognizer(model, threads=1)
    lines = recognizer.stream(map(draw_barcode, repeat("1")), look_ahead=4)
    assert next(lines).text == "1"
    recognizer.close()
    with pytest.raises(ModelError):
        list(islice(lines, 20))
    assert stages_running() == []


def test_one_image_instead_of_several_is_refused_before_the_iteration(
    recognizer: Recognizer,
) -> None:
    with refused("stream"):
        recognizer.stream("line.png")


def test_options_out_of_range(recognizer: Recognizer) -> None:
    with refused("look_ahead", 0):
        recognizer.stream([], look_ahead=0)
    with refused("errors", "ignore"):
        recognizer.stream([], errors="ignore")


@given(width=st.integers(1, 100_000), on_gpu=st.booleans())
def test_auto_is_as_many_lines_as_make_so_many_columns(width: int, on_gpu: bool) -> None:
    columns = AUTO_COLUMNS["gpu" if on_gpu else "cpu"]
    pipeline = Pipeline(backend=None, decoder=None, errors="raise", on_gpu=on_gpu)
    lines = pipeline.batch(width)
    assert 1 <= lines <= AUTO_LINES
    assert lines * width <= columns or lines == 1
    assert (lines + 1) * width > columns or lines == AUTO_LINES


def test_pictures_are_not_held_until_their_lines_are_handed_out(model: Path) -> None:
    """A large picture leaves a small strip; 300 of them at once would be 1.2 GB."""
    picture = cv2.resize(draw_barcode("42"), (1600, 1280), interpolation=cv2.INTER_NEAREST)
    encoded = cv2.imencode(".png", np.dstack([picture] * 3))[1].tobytes()
    pipeline = pipeline_of(model, 3)
    assert pipeline.read(encoded).text == "42"
    strips = pipeline.prepare(encoded)
    assert sum(strip.pixels.nbytes for strip in strips) < 4000
    assert all(strip.pixels.base is None or strip.pixels.base.nbytes < 4000 for strip in strips)


@pytest.mark.slow
def test_memory_is_flat(model: Path) -> None:
    """In a process of its own, whose allocator nobody else has used."""
    code = (
        "import itertools, os, sys; import numpy as np; from pathlib import Path\n"
        "from crnn_runtime import Recognizer\n"
        "def resident():\n"
        "    pages = Path('/proc/self/statm').read_text().split()[1]\n"
        "    return int(pages) * os.sysconf('SC_PAGE_SIZE')\n"
        "images = (np.full((32, 8 * (1 + n * 37 % 60)), 255, np.uint8) for n in range(20_000))\n"
        "lines = Recognizer(sys.argv[1], threads=1).stream(images)\n"
        "marks = [resident() for n, line in enumerate(lines, 1) if n in (2_000, 20_000)]\n"
        "print(*marks)"
    )
    done = run_apart(code, model)
    few, many = map(int, done.stdout.split())
    assert many <= 1.05 * few
