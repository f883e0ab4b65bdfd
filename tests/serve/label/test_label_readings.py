"""Readings that outlive the server, of the same picture and the same reader alone."""

import os
import time
from pathlib import Path

import cv2
import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader

from crnn_runtime import Alphabet, Char, Line, Recognizer
from crnn_serve.label.labels import Labels
from crnn_serve.label.reading import reading
from crnn_serve.label.readings import Readings

LINE = Line("12☃", 0.75, "raw", (Char("1", 0.5, 1.0, 9.5), Char("2", 1.0, 9.5, 20.0)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_barcode_reader(tmp_path / "bars.onnx", barcode_card(head="greedy"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "lines"
    place.mkdir()
    for number in range(3):
        data = cv2.imencode(".png", draw_barcode(f"{number}77"))[1].tobytes()
        (place / f"{number}.png").write_bytes(data)
    return place


def test_a_reading_comes_back_but_not_of_another_picture_or_reader(
    folder: Path, model: Path
) -> None:
    Readings(folder, model).add("0.png", LINE)
    found = Readings(folder, model).get("0.png")
    assert found is not None
    assert (found.text, found.confidence, found.chars) == (LINE.text, LINE.confidence, LINE.chars)
    assert Readings(folder, model).get("1.png") is None
    other = model.with_name("other.onnx")
    other.write_bytes(model.read_bytes() + b" ")
    assert Readings(folder, other).get("0.png") is None
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes())
    os.utime(folder / "0.png", (1, 1))
    assert Readings(folder, model).get("0.png") is None


def test_half_a_row_costs_itself_alone_and_failures_are_tried_again(
    folder: Path, model: Path
) -> None:
    kept = Readings(folder, model)
    kept.add("0.png", LINE)
    kept.add("1.png", LINE)
    kept.add("2.png", Line("", 0.0, "", (), error="broken"))
    (file,) = folder.glob(".readings-*")
    file.write_bytes(file.read_bytes()[:-20])
    again = Readings(folder, model)
    assert again.get("0.png") is not None
    assert again.get("1.png") is None
    again.add("1.png", LINE)
    last = Readings(folder, model)
    assert [last.get(f"{number}.png") is not None for number in range(3)] == [True, True, False]


def test_a_file_of_anything_else_is_passed_over(folder: Path, model: Path) -> None:
    Readings(folder, model).add("0.png", LINE)
    (file,) = folder.glob(".readings-*")
    file.write_bytes(b'\xff\n[]\n{}\n3\n["0.png", "s", 4, 1.0, []]\nnull\n')
    assert Readings(folder, model).get("0.png") is None


def test_a_server_that_is_started_again_reads_what_is_missing(folder: Path, model: Path) -> None:
    read: list[int] = []
    with Recognizer(model, threads=1) as recognizer:
        for new in ("", "3.png"):
            if new:
                (folder / new).write_bytes((folder / "0.png").read_bytes())
            before = sum(row.count("\n") for row in _kept(folder))
            labels = Labels(folder, Alphabet("0123456789"))
            with reading(recognizer, labels, Readings(folder, model)):
                while not labels.all_read:
                    time.sleep(0.01)
            labels.close()
            texts = {entry.path: entry.reading and entry.reading.text for entry in labels.unread()}
            assert texts["0.png"] == "077"
            assert None not in texts.values()
            read.append(sum(row.count("\n") for row in _kept(folder)) - before)
    assert read == [3, 1]


def _kept(folder: Path) -> list[str]:
    return [file.read_text() for file in folder.glob(".readings-*")]
