"""A teacher labels pictures that nobody labelled, and a student learns from them."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from crnn.checkpoints import load_model
from crnn.synth import Synthesizer
from crnn.training import TrainConfig, train
from crnn.training import unlabelled as stage
from crnn.training.objective.teacher import load_teacher
from crnn.training.unlabelled import LABELS, pseudo_labels
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

TEACHER = Path("examples/digits.pth").resolve()
DIGITS = Alphabet.load("digits")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve lines of digits, one picture of noise, and one file that is no picture."""
    place = tmp_path / "crops"
    (place / "deep er").mkdir(parents=True)
    lines = Synthesizer("digits", seed=5)
    for index in range(12):
        image = cv2.cvtColor(lines.line(index).image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(place / "deep er" / f"{index:02}.png"), image)
    noise = np.random.default_rng(0).integers(0, 255, (32, 90, 3), np.uint8)
    cv2.imwrite(str(place / "noise.png"), noise)
    (place / "broken.jpg").write_bytes(b"no picture")
    return place


def config(tmp_path: Path, folder: Path, **changes: Any) -> TrainConfig:  # noqa: ANN401
    options: dict[str, Any] = {
        "arch": "ppocrv6_tiny", "height": 40, "alphabet": DIGITS, "directory": tmp_path / "run",
        "teacher": str(TEACHER), "unlabelled": folder, "workers": 0, "batch_size": 4,
        "max_epoch": 1, "threads": 1,
    } | changes  # fmt: skip
    options["directory"].mkdir(exist_ok=True)
    return TrainConfig(**options)


def rows_of(file: Path) -> dict[str, str]:
    return dict(row.split("\t") for row in file.read_text().splitlines())


def test_what_the_teacher_is_sure_of_is_a_label(tmp_path: Path, folder: Path) -> None:
    rows = rows_of(pseudo_labels(config(tmp_path, folder, unlabelled_above=0.7)))
    truth = {f"deep er/{n:02}.png": Synthesizer("digits", seed=5).line(n).text for n in range(12)}
    assert len(rows) >= 8
    right = sum(truth.get(name) == text for name, text in rows.items())
    assert right >= 0.8 * len(rows)
    assert "broken.jpg" not in rows
    (journal,) = (tmp_path / "cache").rglob("readings-*.jsonl")
    sure = sorted(json.loads(row)[3] for row in journal.read_text().splitlines() if row)
    few = rows_of(pseudo_labels(config(tmp_path, folder, unlabelled_above=sure[-3])))
    assert few.items() < rows.items()


def test_pictures_are_read_once_and_again_when_they_change(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(tmp_path, folder, unlabelled_above=0.0)
    before = pseudo_labels(asked).read_text()
    read: list[str] = []
    whole = stage._Unlabelled.line

    def counted(self: Any, index: int, rng: Any) -> Any:  # noqa: ANN401
        read.append(self.where(index))
        return whole(self, index, rng)

    monkeypatch.setattr(stage._Unlabelled, "line", counted)
    again = config(tmp_path, folder, unlabelled_above=0.0, directory=tmp_path / "another")
    assert pseudo_labels(again).read_text() == before
    assert {Path(path).name for path in read} == {"broken.jpg"}, "it has no reading to keep"
    read.clear()
    shutil.copy(folder / "deep er" / "00.png", folder / "noise.png")
    rows = rows_of(pseudo_labels(again))
    assert {Path(path).name for path in read} == {"broken.jpg", "noise.png"}
    assert rows["noise.png"] == rows["deep er/00.png"]


def test_a_run_that_was_killed_reads_what_is_missing(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = config(tmp_path, folder, unlabelled_above=0.0)
    whole = pseudo_labels(asked).read_text()
    (journal,) = (tmp_path / "cache").rglob("readings-*.jsonl")
    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) // 2])  # in the middle of a row
    assert pseudo_labels(asked).read_text() == whole
    assert b'"deep er/00.png"' in journal.read_bytes()


def test_a_student_learns_from_them_alone(tmp_path: Path, folder: Path) -> None:
    (folder / "broken.jpg").unlink()
    dev = tmp_path / "dev"
    dev.mkdir()
    shutil.copy(folder / "deep er" / "00.png", dev / "00.png")
    (dev / "dev.tsv").write_text(f"00.png\t{Synthesizer('digits', seed=5).line(0).text}\n")
    asked = config(
        tmp_path,
        folder,
        unlabelled_above=0.5,
        init=TEACHER,
        validate_on=(str(dev),),
        lr=1e-5,
        batch_size=1,
    )
    result = train(asked)
    assert result.steps == len(rows_of(asked.directory / LABELS))
    assert str(dev) in result.scores
    assert load_model(result.best)[1].alphabet == DIGITS


def test_they_come_beside_other_lines(tmp_path: Path, folder: Path) -> None:
    asked = config(
        tmp_path,
        folder,
        unlabelled_above=0.5,
        synth="digits",
        synth_lines=8,
        dev_lines=4,
        batch_size=1,
    )
    result = train(asked)
    count = len(rows_of(asked.directory / LABELS))
    assert result.steps == 8 + count


def test_characters_that_the_student_lacks_leave_their_lines_out(
    tmp_path: Path, folder: Path
) -> None:
    few = config(
        tmp_path, folder, unlabelled_above=0.0, alphabet=Alphabet("01234567"), batch_size=1
    )
    steps = train(few).steps
    texts = rows_of(few.directory / LABELS).values()
    assert steps == sum(not {"8", "9"} & set(text) for text in texts) < len(texts)


def test_the_distribution_is_followed_on_demand(tmp_path: Path, folder: Path) -> None:
    card = config(tmp_path, folder).card()
    assert load_teacher(config(tmp_path, folder), card) is None
    followed = load_teacher(config(tmp_path, folder, teacher_on="all"), card)
    assert followed is not None
    assert followed.lines == "all"


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"teacher": None}, "--teacher"),
        ({"teacher": "init"}, "--teacher"),
        ({"unlabelled_above": 1.5}, "--unlabelled-above"),
        ({"unlabelled": Path("nowhere")}, "nowhere"),
        ({"teacher": "nowhere.pth"}, "nowhere.pth"),
    ],
)
def test_what_will_not_do(
    tmp_path: Path, folder: Path, changes: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(CrnnError, match=wrong):
        pseudo_labels(config(tmp_path, folder, **changes))


def test_a_teacher_that_is_sure_of_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CrnnError, match="no picture"):
        pseudo_labels(config(tmp_path, empty))
    cv2.imwrite(str(empty / "blank.png"), np.full((32, 200, 3), 255, np.uint8))
    with pytest.raises(CrnnError, match="--unlabelled-above"):
        pseudo_labels(config(tmp_path, empty))
