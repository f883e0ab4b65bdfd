"""Whatever is given as an image: a line or an error of one line, no crash, no leak, no hang."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from barcode import barcode_card, write_barcode_reader
from broken_images import broken_image, whole_images
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from odd_images import opaque_images, transparent_images

from crnn_runtime import Line, Recognizer
from crnn_runtime.console import EXIT_SOME_UNREAD

SUPPORT = Path(__file__).parents[1] / "support" / "pictures"
FEW, MANY = 2_000, 20_000
FILES = 1_500

MAGIC = [b"", *{image[:4] for image in whole_images().values()}]
SHAPES = st.lists(st.integers(0, 40), min_size=1, max_size=4).map(tuple)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = barcode_card(head="greedy", max_width=320, pad="edge")
    return write_barcode_reader(tmp_path_factory.mktemp("model") / "reader.onnx", card)


@pytest.fixture(scope="module")
def recognizer(model: Path) -> Recognizer:
    return Recognizer(model, threads=1)


def is_right(line: Line) -> bool:
    if line.error is None:
        return set(line.text) <= set("0123456789") and len(line.chars) == len(line.text)
    return line.text == "" and bool(line.error.strip()) and "\n" not in line.error


@pytest.mark.parametrize("kind", whole_images())
def test_what_is_damaged_is_read_when_it_is_whole(recognizer: Recognizer, kind: str) -> None:
    (line,) = recognizer.read([whole_images()[kind]])
    assert line.error is None
    assert line.text == "314" or kind == "turned.jpg"


@settings(max_examples=300, deadline=None)
@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=200))
def test_bytes_of_any_kind(recognizer: Recognizer, magic: bytes, rest: bytes) -> None:
    (line,) = recognizer.read([magic + rest], errors="return")
    assert is_right(line)


ODD = [*opaque_images().values(), *transparent_images(0).values()]


@settings(max_examples=200, deadline=None)
@given(data=st.sampled_from(ODD), share=st.floats(0, 1), extra=st.binary(max_size=200))
def test_files_of_every_colour_type_cut_or_longer(
    recognizer: Recognizer, data: bytes, share: float, extra: bytes
) -> None:
    sources = [data, data + extra, data[: int(len(data) * share)], b"", data + data]
    whole, longer, cut, _, twice = recognizer.read(sources, errors="return")
    assert whole.error is None
    assert whole == longer == twice
    assert is_right(cut)


@settings(max_examples=200, deadline=None)
@given(image=st.one_of(st_numpy.arrays(np.uint8, SHAPES), st_numpy.arrays(np.float32, (32, 40))))
def test_arrays_of_any_shape(recognizer: Recognizer, image: np.ndarray) -> None:
    (line,) = recognizer.read([image], errors="return")
    assert is_right(line)
    assert (line.error is None) == (
        image.dtype == np.uint8
        and image.shape[0] >= 1
        and image.shape[1:2] > (0,)
        and image.shape[0] <= 32 * image.shape[1]
        and image.shape[2:] in ((), (1,), (3,), (4,))
    )


@settings(max_examples=100, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40) | st.integers(1, 9_000))
def test_crops_of_any_size(recognizer: Recognizer, height: int, width: int) -> None:
    """As small as a line can be, upscaled; as long as it can be, in pieces."""
    (line,) = recognizer.read([np.full((height, width), 255, np.uint8)], errors="return")
    if height > 32 * width or width > 2000 * height:
        assert is_right(line)
        assert line.error
    else:
        assert (line.text, line.error) == ("", None)


@pytest.mark.slow
def test_many_damaged_pictures_in_one_process(model: Path) -> None:
    """In a process of its own: a crash is a failure here, and memory is its alone."""
    code = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(SUPPORT)!r})
from broken_images import broken_image
from crnn_runtime import Recognizer
from crnn_runtime.picture.messages import silence_opencv

def resident():
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")

silence_opencv()
images = map(broken_image, range({MANY}))
read = unread = 0
for line in Recognizer(sys.argv[1], threads=1).stream(images, errors="return"):
    assert line.error is None or (line.error and "\\n" not in line.error), line
    read, unread = read + (line.error is None), unread + (line.error is not None)
    if read + unread in ({FEW}, {MANY}):
        print(read, unread, resident(), flush=True)
"""
    # Else glibc keeps up to 32 MB that one large picture took, for ever.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run(
        [sys.executable, "-c", code, model], env=environment,
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"after {done.stdout!r}: {done.stderr[-2000:]}"
    (_, _, few), (read, unread, many) = (map(int, row.split()) for row in done.stdout.splitlines())
    assert read + unread == MANY
    assert min(read, unread) > MANY // 10  # else the pictures test too little
    assert many <= 1.05 * few


@pytest.mark.slow
def test_many_damaged_files_through_the_program(model: Path, tmp_path: Path) -> None:
    suffixes = ("png", "jpg", "webp", "bmp", "tiff", "gif")
    names = [f"{number:05}.{suffixes[number % len(suffixes)]}" for number in range(FILES)]
    for number, name in enumerate(names):
        tmp_path.joinpath(name).write_bytes(broken_image(MANY + number))
    done = subprocess.run(
        [Path(sys.executable).parent / "crnn-infer", model, "--threads", "1", "."],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == EXIT_SOME_UNREAD
    read = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    said = [line.partition(": ")[::2] for line in done.stderr.splitlines()]
    warned = [name for name, reason in said if reason.startswith("warning, ")]
    unread = [name for name, reason in said if not reason.startswith("warning, ")]
    assert sorted(read + unread) == names
    assert set(warned) <= set(read)
