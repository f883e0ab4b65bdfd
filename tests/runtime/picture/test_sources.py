"""Open files, images of Pillow's and arrays in OpenCV's order read as the file itself does."""

import io
import os
import subprocess
import sys
from pathlib import Path, PurePath

import cv2
import numpy as np
import pytest

from crnn_runtime import CrnnError, ImageError, Recognizer
from crnn_runtime.picture.load import load_image
from crnn_runtime.picture.sources import PlainSource, plain

Image = pytest.importorskip("PIL.Image")
SAMPLE = Path(__file__).parents[3] / "docs" / "samples" / "latin.jpg"


def pixels(source: PlainSource) -> np.ndarray:
    return load_image(source)


@pytest.fixture(scope="module")
def reader() -> Recognizer:
    return Recognizer("latin", threads=1)


def test_every_way_to_give_a_picture_reads_the_same(reader: Recognizer) -> None:
    data = SAMPLE.read_bytes()
    with SAMPLE.open("rb") as file, Image.open(SAMPLE) as lazy:
        lines = reader.read([SAMPLE, data, io.BytesIO(data), file, lazy, lazy.convert("RGB")])
    assert len({line.text for line in lines}) == 1
    with SAMPLE.open("rb") as file:
        assert reader.inspect(file).line == lines[0]
        file.seek(0)
        assert reader.read([file]) == lines[:1]


def test_names_of_other_kinds(reader: Recognizer) -> None:
    entries = [entry for entry in os.scandir(SAMPLE.parent) if entry.name == SAMPLE.name]
    lines = reader.read([PurePath(SAMPLE), *entries, SAMPLE])
    assert len({line.text for line in lines}) == 1


def test_files_are_read_when_it_is_their_turn(reader: Recognizer) -> None:
    """A generator may close each file before it opens the next."""

    def opened(count: int) -> "object":
        for _ in range(count):
            with SAMPLE.open("rb") as file:
                yield file

    assert len({line.text for line in reader.stream(opened(20))}) == 1  # type: ignore[arg-type]


def test_arrays_in_the_order_of_opencv(reader: Recognizer) -> None:
    picture = np.zeros((32, 96, 3), np.uint8)
    picture[:] = (200, 40, 10)
    with Recognizer("latin", threads=1, channels="bgr") as bgr:
        assert bgr.card.color == reader.card.color  # what the network takes is not what is given
    for stored in (picture, np.dstack([picture, np.full((32, 96), 255, np.uint8)])):
        assert (pixels(plain(stored, "bgr")) == picture[0, 0, ::-1]).all()
        assert (pixels(plain(stored)) == picture[0, 0]).all()
    assert plain(picture[:, :, 0], "bgr").shape == (32, 96)  # type: ignore[union-attr]


def test_a_page_in_the_order_of_opencv(reader: Recognizer) -> None:
    bgr = cv2.imread(str(SAMPLE))
    with Recognizer("zh", threads=1, channels="bgr") as zh, Recognizer("zh", threads=1) as rgb:
        assert zh.read([bgr])[0] == rgb.read([bgr[:, :, ::-1].copy()])[0]
        assert zh.read([SAMPLE, io.BytesIO(SAMPLE.read_bytes())]) == rgb.read([SAMPLE, SAMPLE])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_modes_of_pillow(mode: str) -> None:
    with Image.open(SAMPLE) as opened:
        grey = opened.convert("RGB").convert("L")
        image = grey.point(lambda value: 255 * (value > 128)).convert("RGB")
    image = image.convert("P" if mode == "PA" else "L" if mode in ("1", "LA") else mode)
    image = image.convert(mode)
    found = pixels(plain(image)).astype(int)
    expected = np.asarray(image.convert("RGBA" if mode == "LA" else "RGB").convert("RGB"))
    assert np.abs(found - expected).mean() < 1


def test_transparency_16_bits_and_orientation_are_those_of_the_file(tmp_path: Path) -> None:
    ink = np.zeros((24, 80, 4), np.uint8)
    ink[8:16, 8:72] = 255  # white on a transparent ground
    deep = np.linspace(0, 65535, 24 * 80).astype(np.uint16).reshape(24, 80)
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ink[:, :, :3]).save(turned, exif=exif, quality=100)
    cv2.imwrite(str(tmp_path / "ink.png"), ink)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    for name in ("ink.png", "deep.png", "turned.jpg"):
        with Image.open(tmp_path / name) as image:
            given = pixels(plain(image))
        stored = pixels(tmp_path / name)
        assert given.shape == stored.shape
        assert np.abs(given.astype(int) - stored).mean() < 2, name


class Broken(io.RawIOBase):
    def read(self, size: int = -1, /) -> bytes:
        raise OSError("connection reset")


@pytest.mark.parametrize(
    "source",
    [io.BytesIO(), io.StringIO("text"), Broken(), Image.new("F", (40, 20)),
     Image.open(io.BytesIO(SAMPLE.read_bytes()[:2000]))],
)  # fmt: skip
def test_what_cannot_be_read_keeps_its_place(reader: Recognizer, source: object) -> None:
    lines = reader.read([SAMPLE, source, SAMPLE], errors="return")  # type: ignore[list-item]
    assert [bool(line.error) for line in lines] == [False, True, False]
    with pytest.raises(ImageError):
        reader.read([source])  # type: ignore[list-item]


def test_one_file_or_image_is_no_list(reader: Recognizer) -> None:
    with Image.open(SAMPLE) as image:
        for one in (io.BytesIO(SAMPLE.read_bytes()), image):
            with pytest.raises(CrnnError, match="list"):
                reader.read(one)  # type: ignore[arg-type]


def test_pillow_is_not_imported() -> None:
    code = (
        "import io, sys\nfrom crnn_runtime import Recognizer\n"
        f"Recognizer('digits').read([io.BytesIO(open({str(SAMPLE)!r}, 'rb').read())])\n"
        "assert 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
