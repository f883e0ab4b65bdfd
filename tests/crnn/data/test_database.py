"""LMDB data sets: written by crnn-synth, checked and learnt from by crnn-train."""

from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from click.testing import CliRunner
from refusals import refused

from crnn.cli.synth import main as synth
from crnn.cli.train import main as train
from crnn.data.check import check
from crnn.data.sources import AnnotatedLines
from crnn.model import default_card
from crnn_runtime import Alphabet

CARD = default_card("lite", Alphabet("0123456789"))


def steps(width: int) -> int:
    return max(1, width // CARD.time_stride)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lmdb") / "digits"
    arguments = "--preset digits --fonts packages --count 40 --format lmdb --workers 0 --dev-share"
    result = CliRunner().invoke(synth, [*arguments.split(), "0.25", "--out", str(root)])
    assert result.exit_code == 0, result.output
    return root


def test_what_was_drawn_is_read_back(root: Path) -> None:
    data = check(root / "train", CARD, steps)
    assert (len(data), data.defects) == (30, [])
    source = AnnotatedLines(data, CARD)
    with lmdb.open(str(root / "train"), readonly=True, lock=False) as base, base.begin() as view:
        labels = [view.get(b"label-%09d" % number).decode() for number in range(1, 31)]
    for index, label in enumerate(labels):
        line = source.line(index, np.random.default_rng(0))
        assert CARD.alphabet.decode(line.codes) == label
        assert line.pixels.shape == (32, data.widths[index], 1)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_reader_is_trained_on_it(root: Path, tmp_path: Path, workers: str) -> None:
    arguments = "--arch lite --alphabet digits --batch-size 8 --max-steps 3 --gpu-id -1 --workers"
    result = CliRunner().invoke(
        train,
        ["--dataset-root", str(root), "--directory", str(tmp_path / "run"), *arguments.split(),
         workers],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "of 10 lines exact" in result.output


def test_every_defect_is_named(tmp_path: Path) -> None:
    picture = cv2.imencode(".png", np.full((32, 64), 255, np.uint8))[1].tobytes()
    rows = {
        1: (picture, b"12"),
        2: (picture, b"1x"),
        3: (None, b"12"),
        4: (b"no picture", b"12"),
        5: (picture, b""),
        6: (picture, "１".encode("gb18030")),
        7: (picture, b"1" * 60),
        8: (picture[:-5], b"12"),
        9: (b"", b"12"),
    }
    with lmdb.open(str(tmp_path / "train")) as base, base.begin(write=True) as view:
        for number, (image, label) in rows.items():
            if image is not None:
                view.put(b"image-%09d" % number, image)
            view.put(b"label-%09d" % number, label)
        view.put(b"num-samples", b"%d" % len(rows))
    data = check(tmp_path / "train", CARD, steps)
    assert len(data) == 1
    assert [(defect.line, defect.kind) for defect in data.defects] == [
        (2, "unknown-character"),
        (3, "missing-image"),
        (4, "unreadable-image"),
        (5, "no-label"),
        (6, "encoding"),
        (7, "too-long"),
        (8, "unreadable-image"),
        (9, "unreadable-image"),
    ]


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "train")) as base, base.begin(write=True) as view:
        view.put(b"something", b"else")
    with refused(tmp_path / "train", "num-samples"):
        check(tmp_path / "train", CARD, steps)
    (tmp_path / "train" / "data.mdb").write_bytes(b"damaged")
    with refused(tmp_path / "train"):
        check(tmp_path / "train", CARD, steps)
