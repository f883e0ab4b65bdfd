"""The way of one picture: the same as among others, and the one that the documents describe."""

import re
import sys
from pathlib import Path
from types import FrameType

import pytest
from barcode import barcode_card, draw_barcode, write_barcode_reader

import crnn_runtime
from crnn_runtime import Recognizer

ROOT = Path(__file__).parents[2]
RUNTIME = Path(crnn_runtime.__path__[0]).resolve()
DATA = {"model/card.py", "model/alphabet.py", "line.py"}  # entered by all


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    path = tmp_path_factory.mktemp("model") / "reader.onnx"
    card = barcode_card(head="greedy", max_width=160)
    return Recognizer(write_barcode_reader(path, card), threads=1, batch_size=2)


@pytest.mark.parametrize("length", [0, 3, 18, 40, 200])
def test_a_picture_alone_reads_as_among_others(recognizer: Recognizer, length: int) -> None:
    image = draw_barcode("31" * (length // 2) + "4" * (length % 2))
    (alone,) = recognizer.read([image])
    assert len(alone.text) == length
    assert recognizer.read([draw_barcode("7"), image, image])[1:] == [alone, alone]


def test_a_picture_enters_the_files_that_the_documents_name_in_their_order_and_none_twice(
    recognizer: Recognizer,
) -> None:
    entered: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_back is not None:
            here, caller = (_in_runtime(f.f_code.co_filename) for f in (frame, frame.f_back))
            if here not in (None, caller, *DATA, *entered[-1:]):
                entered.append(here)

    picture = (ROOT / "examples" / "lines" / "92.png").read_bytes()
    sys.setprofile(note)
    try:
        recognizer.read([picture])
    finally:
        sys.setprofile(None)
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    assert entered == re.findall(r"^\d\. `(\S+\.py)`", page, re.MULTILINE)
    assert len(set(entered)) == len(entered) <= 7


def _in_runtime(file: str) -> str | None:
    """A file's path below the runtime's folder, None for one that lies elsewhere."""
    path = Path(file).resolve()
    return path.relative_to(RUNTIME).as_posix() if RUNTIME in path.parents else None
